// Package oidc lets people and jobs log in to the true entrepot program by an OpenID provider that others wrote: the example server of
// github.com/zitadel/oidc, with its own login form and its own keys.
//
// What a provider of our own in a test cannot show is whether we and everybody else read the specification alike. So the provider is run as it is, in
// this process and on a loopback port; what the tests add to it are people, clients and claims. The program is looked at from outside: a browser with
// cookies, requests with tokens, and its log.
//
// It is a module of its own, so that the provider and what it drags along never come near the product's build.
package oidc
