package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// errNoTerminal is the answer to a question where nobody sits.
var errNoTerminal = errors.New("there is no terminal to ask on")

// typedLimit is the longest line that is taken from a terminal, in bytes. Terminals themselves cut at about as much.
const typedLimit = 4096

// ask asks whoever sits at the terminal for a line.
func (a *app) ask(ctx context.Context, question string) (string, error) {
	f, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(f) {
		return "", errNoTerminal
	}
	return a.question(ctx, f, question)
}

// askSecret is ask for what nobody else shall read from the screen.
func (a *app) askSecret(ctx context.Context, question string) (string, error) {
	f, ok := a.stdin.(*os.File)
	if !ok || !isTerminal(f) {
		return "", errNoTerminal
	}
	shown, err := hide(f)
	if err != nil {
		return "", fmt.Errorf("hide what is typed: %w", err)
	}
	defer func() { shown(); fmt.Fprintln(a.stderr) }()
	return a.question(ctx, f, question)
}

// askNew asks for a new password, twice.
func (a *app) askNew(ctx context.Context, question string) (string, error) {
	first, err := a.askSecret(ctx, question)
	if err != nil {
		return "", err
	}
	second, err := a.askSecret(ctx, "Once more: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", errors.New("the two are not the same; nothing was changed")
	}
	return first, nil
}

func (a *app) question(ctx context.Context, f *os.File, question string) (string, error) {
	fmt.Fprint(a.stderr, question)
	type typed struct {
		line string
		err  error
	}
	answer := make(chan typed, 1)
	go func() {
		line, err := readTyped(f)
		answer <- typed{line, err}
	}()
	select {
	case t := <-answer:
		return t.line, t.err
	case <-ctx.Done(): // the reader is left behind; the program is about to end
		return "", ctx.Err()
	}
}

// readTyped reads a line and not a byte more: the next question's answer may have been typed already.
func readTyped(f *os.File) (string, error) {
	var line []byte
	one := make([]byte, 1)
	for len(line) <= typedLimit {
		n, err := f.Read(one)
		if n == 1 && (one[0] == '\n' || one[0] == '\r') {
			return string(line), nil
		}
		if n == 1 {
			line = append(line, one[0])
		}
		if err != nil {
			return "", errors.New("nothing was typed")
		}
	}
	return "", fmt.Errorf("more than %d characters were typed", typedLimit)
}
