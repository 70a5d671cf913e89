// Package advisory repeats what went wrong in other registries, against the true program.
//
// Each test is named after the mistake, and its comment names the published advisory where there is one. A test passes when the
// mistake cannot be made here: the request is refused and nothing has changed, or it is answered within its bounds.
package advisory
