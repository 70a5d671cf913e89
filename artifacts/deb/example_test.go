package deb_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/entrepot/entrepot/artifacts/deb"
	"github.com/entrepot/entrepot/artifacts/deb/debtest"
)

func ExampleRead() {
	body := bytes.NewReader(debtest.Build(debtest.Spec{Version: "1:2.10-3"}))
	sum := sha256.New()
	pkg, err := deb.Read(io.TeeReader(body, sum), deb.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(pkg.Control.Filename())
	fmt.Printf("%sFilename: pool/cloud/dmp/hello/%s\nSize: %d\nSHA256: %.8x…\n", pkg.Control.Text, pkg.Control.Filename(), pkg.Size, sum.Sum(nil))
	// Output:
	// hello_2.10-3_amd64.deb
	// Package: hello
	// Version: 1:2.10-3
	// Architecture: amd64
	// Maintainer: A Team <team@example.com>
	// Description: a package for a test
	//  It was made by a test.
	//  .
	//  It does nothing.
	// Filename: pool/cloud/dmp/hello/hello_2.10-3_amd64.deb
	// Size: 4288
	// SHA256: bf99ae43f9004fb9…
}

func ExampleParseControl() {
	_, err := deb.ParseControl("Package: Hello\nVersion: v1.0\nArchitecture: amd64\nDepends: libc6 (>> 2.36), ,\n")
	fmt.Println(err)
	// Output:
	// control line 1 (Package): "Hello" has 'H' at position 1; use two or more of lower-case letters, digits, +, - and ., beginning with a letter or a digit
	// control line 2 (Version): "v1.0" does not begin with a digit; put 0~ before it, or leave a leading v out
	// control line 4 (Depends): names no package between two commas; remove the comma that is too many
	// control line 4 (Depends): names no package between two commas; remove the comma that is too many
	// control: has no field Description; add it, as "Description: says hello"
}

func ExampleVersion_Compare() {
	release, _ := deb.ParseVersion("1.0.0")
	for _, text := range []string{"1.0.0~rc1", "1.0.0-rc1", "1.0.0-1", "1:0.1"} {
		v, _ := deb.ParseVersion(text)
		fmt.Println(v, v.Compare(release))
	}
	// Output:
	// 1.0.0~rc1 -1
	// 1.0.0-rc1 1
	// 1.0.0-1 1
	// 1:0.1 1
}
