package document

import (
	"regexp"
	"strings"
)

const (
	// segment is a part of a repository's name (distribution-spec, "Pulling manifests"), word is one that can stand in a domain tag and in a suite.
	segment = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	word    = `[a-z0-9]+(?:-+[a-z0-9]+)*`
)

var (
	domainName      = name("a domain of lower-case letters, digits and dashes", "cloud", word, 63)
	environmentName = name("an environment of lower-case letters, digits and dashes after a letter", "prod", `[a-z][a-z0-9]*(?:-+[a-z0-9]+)*`, 63)
	groupName       = name("a group without a slash", "dmp", segment, 128)
	serviceName     = name("a service without a slash", "ms-ingestion", segment, 128)
	componentName   = name("a component of three parts", "cloud/dmp/ms-ingestion", segment+`/`+segment+`/`+segment, 255)
)

// name is a form of names that can stand in repositories or tags.
func name(is, like, pattern string, most int) form {
	f := form{is: is, like: like, pattern: regexp.MustCompile(`^` + pattern + `$`), most: most}
	f.why = func(s string) (string, string) { return whyName(f, s) }
	return f
}

// whyName finds the name that somebody meant: without blanks, in lower case, without the folder of the seeds' tree, only its last part.
func whyName(f form, s string) (problem, fix string) {
	lower := strings.ToLower(strings.TrimSpace(s))
	for _, meant := range []string{
		lower,
		strings.TrimPrefix(strings.Trim(lower, "/"), "components/"),
		lower[strings.LastIndexByte(strings.Trim(lower, "/"), '/')+1:],
		strings.NewReplacer(" ", "-", "_", "-", ".", "-").Replace(lower),
	} {
		if f.matches(meant) {
			return f.not(s), "write " + meant
		}
	}
	return "", ""
}

// dependencyForm is the shape of a dependency: a name of one to three parts, and what is asked of its version, which others read.
var dependencyForm = form{
	is:      "a component and its versions",
	like:    `"common-utils >=1.2.0, <2"`,
	pattern: regexp.MustCompile(`^(?:` + segment + `/){0,2}` + segment + `(?:[ <>=!~^][^\x00-\x1f\x7f-\x9f]*[^\x00-\x20\x7f-\x9f])?$`),
	most:    256,
	why: func(s string) (string, string) {
		name := s
		if end := strings.IndexAny(s, " <>=!~^"); end >= 0 {
			name = s[:end]
		}
		switch {
		case strings.TrimSpace(s) != s:
			return "has blanks around it", "write " + quote(strings.TrimSpace(s))
		case name == "":
			return "is " + quote(s) + ", which names no component", ""
		}
		return "is " + quote(s) + ", and " + quote(name) + " can be no name of a component", ""
	},
}

// imageForm is a reference to an image, as it stands after FROM.
var imageForm = form{
	is:   "a reference to an image",
	like: "python:3.11-alpine",
	pattern: regexp.MustCompile(`^(?:(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?/)?` + segment + `(?:/` + segment + `)*` +
		`(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64}|@sha512:[0-9a-f]{128})?$`),
	most: 512,
	why: func(s string) (string, string) {
		for _, scheme := range []string{"https://", "http://", "docker://", "oci://"} {
			if bare, ok := strings.CutPrefix(s, scheme); ok {
				return "begins with " + scheme, "write it without: " + quote(bare)
			}
		}
		return "", ""
	},
}
