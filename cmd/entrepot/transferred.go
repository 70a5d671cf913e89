package main

import (
	"fmt"
	"time"

	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
)

// tellTransferEvery is how often a line tells how far a transfer is.
const tellTransferEvery = 5 * time.Second

// tellTransfer returns what prints how far a transfer is: a line now and then.
func (a *app) tellTransfer() func(registrytransfer.Progress) {
	var last time.Time
	return func(p registrytransfer.Progress) {
		if now := time.Now(); now.Sub(last) >= tellTransferEvery {
			if !last.IsZero() {
				fmt.Fprintln(a.stderr, transferLine(p))
			}
			last = now
		}
	}
}

// transferLine is one such line.
func transferLine(p registrytransfer.Progress) string {
	if p.Step == "index" {
		return fmt.Sprintf("index: %d rows", p.Rows)
	}
	number, bytes := p.Copied.Number+p.Same.Number+p.Wrong, p.Copied.Bytes+p.Same.Bytes
	if p.Known.Number == 0 {
		return fmt.Sprintf("%s: %d looked up", p.Step, number)
	}
	line := fmt.Sprintf("%s: %d of %d, %s of %s", p.Step, number, p.Known.Number, humanSize(bytes), humanSize(p.Known.Bytes))
	if p.Copied.Bytes > 0 && p.Took > time.Second {
		rate := float64(p.Copied.Bytes) / p.Took.Seconds()
		left := time.Duration(float64(max(0, p.Known.Bytes-bytes)) / rate * float64(time.Second))
		line += fmt.Sprintf(", %s/s, %s left", humanSize(int64(rate)), left.Round(time.Second))
	}
	return line
}

func (a *app) foundProblem(problem string) { fmt.Fprintln(a.stderr, "entrepot: "+problem) }

func (a *app) printTransferred(done registrytransfer.Done) {
	fmt.Fprintf(a.stdout, "content: %d copied (%s), %d there already\n", done.Copied.Number, humanSize(done.Copied.Bytes), done.Same.Number)
}
