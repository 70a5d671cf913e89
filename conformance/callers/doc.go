// Package callers looks from outside at upstreams that are pulled through with each caller's own credentials (callers: true): who gets in, what each may have of
// what is kept, and that what they show is told to nobody else. The upstream is the program itself, with people of its own.
package callers
