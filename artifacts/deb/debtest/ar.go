package debtest

import (
	"bytes"
	"fmt"
)

// Member is a file in an ar archive.
type Member struct {
	Name   string
	Body   []byte
	Header string // instead of the right one
}

// Ar makes an ar archive of members as they are, be they right or wrong.
func Ar(members ...Member) []byte {
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range members {
		if m.Header == "" {
			m.Header = Header(m.Name, fmt.Sprint(len(m.Body)))
		}
		b.WriteString(m.Header)
		b.Write(m.Body)
		if len(m.Body)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

// Header makes the header of a member with whatever size it shall say.
func Header(name, size string) string {
	return fmt.Sprintf("%-16s%-12s%-6s%-6s%-8s%-10s`\n", name, "1767225600", "0", "0", "100644", size)
}
