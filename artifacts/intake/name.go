package intake

import (
	"fmt"
	"mime"
	"slices"
	"strings"

	"github.com/entrepot/entrepot/artifacts"
)

const maxFileName = 200 // bytes

const fileCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+~-"

// reservedFiles are the names under which other things than files are shown beside them.
var reservedFiles = []string{"manifest.yaml", "metadata.yaml", "ownership.yaml", "policy.yaml", "SHA256SUMS", "image.tar"}

// checkFile refuses names that could not be a file's everywhere: in a URL, in a folder of any system, in a file of checksums.
func checkFile(repo string, format artifacts.Kind, name string) error {
	bad := func(hint string) error { return invalid(repo, "file", name, hint) }
	switch {
	case name == "":
		return bad("the file has no name; give it one")
	case len(name) > maxFileName:
		return bad(fmt.Sprintf("the file's name has %d bytes; it may have %d", len(name), maxFileName))
	case strings.Trim(name, fileCharacters) != "" || strings.ContainsFunc(name, func(r rune) bool { return !strings.ContainsRune(fileCharacters, r) }):
		return bad("a file's name consists of letters, digits, and . _ + ~ -, and no folder stands before it")
	case name[0] == '.':
		return bad("a file's name does not begin with a full stop")
	case slices.Contains(reservedFiles, name) && strings.HasSuffix(name, ".yaml"):
		return bad(name + " is the name of a document; send it as the document that it is, not as a file of the version")
	case slices.Contains(reservedFiles, name):
		return bad(name + " is a name by which the registry shows something of its own; call the file something else")
	case format == artifacts.Deb && !strings.HasSuffix(name, ".deb"):
		return bad("the name of a Debian package ends with .deb; send other files as generic")
	}
	return nil
}

// unsaid are the types that say nothing of a file: that of any bytes, and the one that curl sends unasked.
var unsaid = []string{"", "application/octet-stream", "application/x-www-form-urlencoded"}

// layerType is the media type of a file, without its parameters (RFC 6838).
func layerType(repo, given string) (string, error) {
	if slices.Contains(unsaid, given) {
		return "application/octet-stream", nil
	}
	parsed, _, err := mime.ParseMediaType(given)
	_, sub, slash := strings.Cut(parsed, "/")
	if err != nil || !slash || sub == "" || len(parsed) > 255 {
		return "", invalid(repo, "mediaType", given, "write a media type, as application/gzip, or leave it out")
	}
	if strings.Contains(parsed, ".nondistributable.") || strings.Contains(parsed, ".foreign.") {
		return "", invalid(repo, "mediaType", given, "it says that the file may not be distributed: clients would leave it out; write another media type, or none")
	}
	if slices.Contains(unsaid, parsed) {
		parsed = "application/octet-stream"
	}
	return parsed, nil
}
