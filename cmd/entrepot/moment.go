package main

import (
	"fmt"
	"time"
)

// momentHelp says how a flag that names a time is written.
const momentHelp = "a time (2026-05-10T22:15:00Z), a day (2026-05-10) or so long ago (24h, 7d)"

// moment reads a time as the server takes it. A day stays a day: the server knows whether its begin or its end is meant.
func moment(text string, now time.Time) (string, error) {
	if text == "" {
		return "", nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.UTC().Format(time.RFC3339Nano), nil
	}
	if _, err := time.Parse(time.DateOnly, text); err == nil {
		return text, nil
	}
	ago, err := parseDuration(text)
	if err != nil {
		return "", fmt.Errorf("%q is no time; write %s", text, momentHelp)
	}
	return now.Add(-ago).UTC().Format(time.RFC3339Nano), nil
}
