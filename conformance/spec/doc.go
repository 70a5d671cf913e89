// Package spec holds one test for each sentence of the OCI distribution specification that binds a registry: 1.1.1, and what its main
// branch has added since. A test bears the name of the section it comes from, its comment tells the sentence in short, and it
// looks at the true program over a socket, as a client would.
//
// Which requests a client may send is the business of package wire; what happened to other registries is in conformance/advisory.
package spec
