//go:build !(linux || darwin || dragonfly || freebsd || netbsd || openbsd)

package main

import (
	"errors"
	"os"
)

// isTerminal is never true where it is not known how to hide what is typed: then nobody is asked.
func isTerminal(*os.File) bool { return false }

func hide(*os.File) (func(), error) { return nil, errors.New("this system's terminals are not known") }
