package suite

import "strings"

// The keys of the index that belong to the signing of suites.
//
//	apt/key/<fingerprint>   {"public":…,"private":…,"created":…,"retires":…} of one signing key, in upper-case hex:
//	                        both its halves (OpenPGP, in ASCII armor), when it was made, and, once another one has taken over, until when it
//	                        signs beside that one; from then on there is no private half
const keyPrefix = "apt/key/"

func keyOf(fingerprint string) string { return keyPrefix + fingerprint }

func fingerprintOf(key string) string { return strings.TrimPrefix(key, keyPrefix) }
