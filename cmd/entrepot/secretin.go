package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// secretLimit is the longest password or token that is read, in bytes. A job's token with many claims takes a few thousand.
const secretLimit = 48 << 10

// readSecret reads a password or a token, which is one line. The line's end is no part of it.
func readSecret(from io.Reader, what string) (string, error) {
	lines, err := readSecrets(from, what, 1)
	if err != nil {
		return "", err
	}
	return lines[0], nil
}

// readSecrets reads n lines, none of them empty.
func readSecrets(from io.Reader, what string, n int) ([]string, error) {
	content, err := io.ReadAll(io.LimitReader(from, secretLimit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	if len(content) > secretLimit {
		return nil, fmt.Errorf("read %s: it is longer than %d bytes", what, secretLimit)
	}
	text := strings.TrimSuffix(strings.ReplaceAll(string(content), "\r\n", "\n"), "\n")
	if text == "" {
		return nil, fmt.Errorf("read %s: there is nothing", what)
	}
	lines := strings.Split(text, "\n")
	if len(lines) != n {
		return nil, fmt.Errorf("read %s: it has %d lines, and should have %d", what, len(lines), n)
	}
	for _, line := range lines {
		if line == "" || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return nil, fmt.Errorf("read %s: %w", what, errors.New("a line is empty, or holds a character that cannot be typed"))
		}
	}
	return lines, nil
}
