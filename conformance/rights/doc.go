// Package rights proves, against the true program, who may do what: for each route, each method, each role, each place and each way to show who one is,
// the answer is the one that the table of roles gives, and a refused request has changed nothing.
//
// The requests come from the tables of routes (registry/api, auth/api, artifacts/api, artifacts/tree, artifacts/apt): a route or a method for which no sample
// request is written down here fails the test by its name, so that none can be added without its proof. What is to be expected does not come from the program
// but from a table of its own (table_test.go), written down a second time on purpose.
//
// Beside the matrix stand the finer rules: tags of one's own, mounts, uploads, who says what is deployed, lists that tell nothing, the journal's parts, grants
// that come and go, what anyone may do, and tokens that end.
package rights
