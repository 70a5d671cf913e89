package auth

import "time"

// Wait says that somebody's credentials are not looked at just now.
type Wait struct {
	After  time.Duration // when to try again
	Busy   bool          // the registry, or whom it asks, is short of time; else there were too many failed attempts
	Reason string
}

func (w *Wait) Error() string { return w.Reason }
