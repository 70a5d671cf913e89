// Package conformance looks at the product from outside.
//
// Everything below this folder starts the true program, or reads the source tree as data, and asks whether a promise that was made
// elsewhere is kept: the OCI distribution specification (conformance/spec), the mistakes that other registries made before
// (conformance/advisory), who may do what on every route (conformance/rights), agreement with another implementation (conformance/oracle)
// and with an OpenID provider (conformance/oidc), both modules of their own, and, in this package, the arrows between the rooms of the house. Nothing of the product imports anything of it.
package conformance
