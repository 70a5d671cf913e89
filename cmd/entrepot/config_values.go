package main

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Bytes is an amount of data, written 512, 64KiB, 4MiB, 2GiB.
type Bytes int64

var byteUnits = []struct {
	name string
	size int64
}{
	{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1},
}

// String writes b with the largest binary unit that leaves no fraction, so that reading it again gives b.
func (b Bytes) String() string {
	for _, u := range byteUnits[:4] {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

func parseBytes(s string) (Bytes, error) {
	number, size := s, int64(1)
	for _, u := range byteUnits {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			number, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/size {
		return 0, fmt.Errorf("%q is not a size; write it like 4MiB", s)
	}
	return Bytes(n * size), nil
}

// parseDuration reads Go's durations, and days before them: 90s, 24h, 7d, 1d12h.
func parseDuration(s string) (time.Duration, error) {
	wrong := fmt.Errorf("%q is not a duration; write it like 30s, 24h or 7d", s)
	var days time.Duration
	rest := s
	if number, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 || n > int64(math.MaxInt64/(24*time.Hour)) {
			return 0, wrong
		}
		days, rest = time.Duration(n)*24*time.Hour, after
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || days+d < 0 {
		return 0, wrong
	}
	return days + d, nil
}

// formatDuration leaves out the zero parts that Go writes: 24h, not 24h0m0s.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// setText sets a key from text, as an environment variable or a quoted value gives it.
func (k key) setText(s string) error {
	switch k.value.Interface().(type) {
	case string:
		k.value.SetString(s)
	case bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is neither true nor false", s)
		}
		k.value.SetBool(s == "true")
	case int:
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil || n < 0 {
			return fmt.Errorf("%q is not a number from 0 on; write it like 5", s)
		}
		k.value.SetInt(n)
	case Bytes:
		b, err := parseBytes(s)
		if err != nil {
			return err
		}
		k.value.SetInt(int64(b))
	case time.Duration:
		d, err := parseDuration(s)
		if err != nil {
			return err
		}
		k.value.SetInt(int64(d))
	default:
		panic("config: no way to read a " + k.value.Type().String())
	}
	return nil
}

// text returns the key's value as setText reads it.
func (k key) text() string {
	switch v := k.value.Interface().(type) {
	case time.Duration:
		return formatDuration(v)
	default:
		return fmt.Sprint(v)
	}
}

// wants says what kind of value the key takes.
func (k key) wants() string {
	switch {
	case k.sections():
		return "a list; each entry begins with - and has " + (key{value: reflect.New(k.value.Type().Elem()).Elem()}).own()
	case k.list():
		return "a list of texts, such as [a, b]"
	case k.texts():
		return "names and what each must be, such as ref_protected: true"
	}
	switch k.value.Type() {
	case reflect.TypeFor[bool]():
		return "true or false"
	case reflect.TypeFor[int]():
		return "a number like 5"
	case reflect.TypeFor[Bytes]():
		return "a size like 4MiB"
	case reflect.TypeFor[time.Duration]():
		return "a duration like 30s, 24h or 7d"
	default:
		return "text"
	}
}
