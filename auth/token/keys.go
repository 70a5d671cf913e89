package token

// The keys of the index that belong to tokens.
//
//	auth/key/<kid>   {"private":…,"created":…,"signs":…,"until":…} of one signing key:
//	                 its private key (PKCS#8, RFC 5958, in base64), when it was made, from when on it signs, and, once another one is to
//	                 follow it, until when it verifies
const keyPrefix = "auth/key/"

func keyOf(kid string) string { return keyPrefix + kid }
