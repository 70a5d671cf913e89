package main

import (
	"fmt"
	"strings"

	"oras.land/oras-go/v2/registry"
)

const defaultServer = "127.0.0.1:5000"

// hasHost says whether the part before the first slash names a host, by the rule of the docker client: it has a dot or a port, or
// it is localhost.
func hasHost(s string) bool {
	first, _, slash := strings.Cut(s, "/")
	return slash && !strings.HasPrefix(first, ".") && (strings.ContainsAny(first, ".:") || first == "localhost")
}

// parseReference reads HOST[:PORT]/REPOSITORY[:TAG|@DIGEST]; without a host it is one on server.
func parseReference(text, server string) (registry.Reference, error) {
	full := text
	if !hasHost(text) {
		full = server + "/" + text
	}
	ref, err := registry.ParseReference(full)
	if err != nil {
		return registry.Reference{}, fmt.Errorf("%s is no reference: write it as HOST[:PORT]/REPOSITORY[:TAG|@DIGEST], with the repository in small letters", printable(text))
	}
	return ref, nil
}

// parseRepository reads a reference that may name nothing inside its repository.
func parseRepository(text, server string) (registry.Reference, error) {
	ref, err := parseReference(text, server)
	if err == nil && ref.Reference != "" {
		err = fmt.Errorf("%s names one thing in a repository; leave away :TAG and @DIGEST to name the repository", printable(text))
	}
	return ref, err
}

// isDigest says whether a reference names content and not a tag.
func isDigest(ref registry.Reference) bool {
	_, err := ref.Digest()
	return err == nil
}
