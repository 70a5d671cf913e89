package find

import (
	"encoding/base64"
	"strings"
)

// A position is what follows the term in a key, perhaps with a zero byte behind it; a cursor is a position and the order that it is one of.

// maxCursor is what the longest cursor has, in bytes of base64.
const maxCursor = (1+width+maxComponent+1+maxVersion+1)*4/3 + 1

func orderOf(newest bool) string {
	if newest {
		return "t"
	}
	return "n"
}

func encodeCursor(position string, newest bool) string {
	return base64.RawURLEncoding.EncodeToString([]byte(orderOf(newest) + position))
}

// decodeCursor returns the position of a cursor of this order, or ErrCursor. Without a cursor it is the first.
func decodeCursor(cursor string, newest bool) (position string, err error) {
	switch {
	case cursor == "":
		return "", nil
	case len(cursor) > maxCursor:
		return "", ErrCursor
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return "", ErrCursor
	}
	position, isOne := strings.CutPrefix(string(text), orderOf(newest))
	if !isOne || encodeCursor(position, newest) != cursor {
		return "", ErrCursor
	}
	if _, ok := split(position, newest); !ok {
		return "", ErrCursor
	}
	return position, nil
}

// split takes a position apart. What it names is whole, but for Created in the order of names.
func split(position string, newest bool) (r Ref, ok bool) {
	if newest {
		if len(position) < width {
			return Ref{}, false
		}
		if r.Created, ok = created(position[:width]); !ok {
			return Ref{}, false
		}
		position = position[width:]
	}
	r.Component, r.Version, ok = strings.Cut(position, "!")
	return r, ok && isComponent(r.Component) && len(r.Version) > 0 && len(r.Version) <= maxVersion+1
}

// componentOf is the component in a position of a key.
func componentOf(position string, newest bool) string {
	if newest {
		position = position[min(width, len(position)):]
	}
	component, _, _ := strings.Cut(position, "!")
	return component
}
