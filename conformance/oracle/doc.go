// Package oracle asks two registries the same questions and compares the answers.
//
// One is distribution's own handlers, run in this process; the other is the true entrepot program. Status, error codes and the headers
// that a client depends on must agree. Where they do not, the difference is in a declared list with its reason, or the test fails;
// and a declared difference that is no longer seen fails it too, so that the list tells the truth.
//
// It is a module of its own, so that distribution's application and what it drags along never come near the product's build.
package oracle
