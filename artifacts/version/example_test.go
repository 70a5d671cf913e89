package version_test

import (
	"fmt"

	"github.com/entrepot/entrepot/artifacts/version"
)

func ExampleParseTag() {
	for _, text := range []string{"v1.0.2_build.5", "deb-1.0.2", "commit-0a1b2c3", "cloud.prod", "latest", "1.0", "pr-17"} {
		tag, ok := version.ParseTag(text)
		fmt.Printf("%s: %s, %t %q\n", text, tag.Kind, ok, tag.Version.String()+tag.Commit+tag.Environment)
	}
	// Output:
	// v1.0.2_build.5: version, true "1.0.2+build.5"
	// deb-1.0.2: deb, true "1.0.2"
	// commit-0a1b2c3: commit, true "0a1b2c3"
	// cloud.prod: domain, true "prod"
	// latest: latest, true ""
	// 1.0: scratch, false ""
	// pr-17: scratch, false ""
}

func ExampleParseDependency() {
	name, c, err := version.ParseDependency("common-utils >=1.2.0, <2")
	v, _ := version.Parse("v1.9.0")
	fmt.Println(name, c, c.Allows(v), err)

	_, _, err = version.ParseDependency("common-utils =>1.2.0 <two")
	fmt.Println(err)
	// Output:
	// common-utils >=1.2.0, <2 true <nil>
	// "common-utils =>1.2.0 <two": has the operator =>; write >=; has more than one condition in "=>1.2.0 <two"; put a comma between conditions
}
