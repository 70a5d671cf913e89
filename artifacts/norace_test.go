//go:build !race

package artifacts

// stride is how many points of failure a test goes on by.
const stride = 1
