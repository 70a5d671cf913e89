//go:build race

package artifacts

// stride is how many points of failure a test goes on by: with the race detector, which is slow, not all of them are tried.
const stride = 5
