package find

import (
	"context"
	"strings"
)

// What is asked of components, and not of versions, is asked of the list of components as soon as it makes a search walk in vain: there are fewer of
// them, and of those that fit and may be known there are either many, and then they soon come, or few, and then they are looked up one by one.
const few = 64

// fits tells whether the name of a component is as was asked for.
func (s *search) fits(component string) bool {
	return (s.Under == "" || component == s.Under || strings.HasPrefix(component, s.Under+"/")) && strings.Contains(component, s.Text)
}

// allowed asks May, once for each component.
func (s *search) allowed(component string) bool {
	if s.May == nil {
		return true
	}
	may, asked := s.may[component]
	if !asked {
		s.read += asking
		may = s.May(component)
		s.may[component] = may
	}
	return may
}

// past returns where to go on if the component at a position is not to be listed. "" is the end.
func (s *search) past(ctx context.Context, at, component string) (string, error) {
	if s.Newest {
		if s.read > s.inVain && !s.narrowed {
			s.narrowed = true
			return beyond(at), s.narrow(ctx)
		}
		return beyond(at), nil
	}
	for {
		next := s.after(component)
		if next == "" || s.read > s.enough {
			return next, nil
		}
		has, err := s.components.seek(ctx, next)
		if err != nil || has == "" {
			return "", err
		}
		if component = componentOf(has, false); s.fits(component) && s.allowed(component) {
			return has, nil
		}
	}
}

// after returns where, in the order of names, the components after one begin that may be under Under. "" is the end.
func (s *search) after(component string) string {
	switch {
	case s.Under == "" || strings.HasPrefix(component, s.Under+"/"):
		return component + "\"" // which follows '!'
	case component < s.Under+"/": // Under itself, or Under-x
		return s.Under + "/"
	}
	return ""
}

// narrow makes the search walk the versions of the few components that are to be listed, if they are few.
func (s *search) narrow(ctx context.Context) error {
	var these union
	for at := ""; ; at = beyond(at) {
		var err error
		if at, err = s.components.seek(ctx, at); err != nil {
			return err
		}
		if at == "" {
			break
		}
		if component := componentOf(at, false); s.fits(component) && s.allowed(component) {
			these = append(these, newStream(s.view, family(true)+under(component), &s.read))
		}
		if len(these) > few || s.read > s.enough {
			return nil
		}
	}
	if len(s.Where) == 0 {
		s.sources = nil // it is Under, which fits looks at, or everything
	}
	s.sources = append([]source{these}, s.sources...)
	return nil
}
