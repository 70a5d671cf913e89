// Package operations looks at the program as the one who runs it does: how it starts and refuses to, how it stops, what it does when the disk
// is full or a client stands still, what it tells of itself, and how much memory it takes.
//
// Each test starts a program of its own. Those about a full disk work for everybody, by a limit on the size of files; where the machine lets
// the test make a small filesystem of its own, they are repeated there.
package operations
