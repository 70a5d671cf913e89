package document_test

import (
	"fmt"

	"github.com/entrepot/entrepot/artifacts/document"
)

func Example() {
	_, faults := document.Parse(document.KindManifest, []byte(`format: docker
version: 1.0
base_image: python:3.11-alpine
sha256: f409eabc0f...
built-at: 2025-05-10T22:15:00Z
`))
	for _, f := range faults {
		fmt.Println(f)
	}
	// Output:
	// line 1, column 1: built_at: is missing; write when it was built, with the zone: 2025-05-10T22:15:00Z
	// line 2, column 10: version: is the number 1.0, but it takes text; write 1.0.0
	// line 4, column 9: sha256: is cut short: 10 of 64 digits; write all 64, as docker push prints it for an image, or sha256sum for a deb or another file
	// line 5, column 1: built-at: is no key of this document; did you mean built_at?
}

func ExampleRender() {
	fmt.Printf("%s", document.Render(&document.Domain{Components: []document.Deployed{
		{Name: "cloud/dmp/ms-ingestion", Version: "1.0.2"},
		{Name: "cloud/dmp/ms-export", Version: "3.2.0"},
	}}))
	// Output:
	// components:
	//   - name: cloud/dmp/ms-export
	//     version: 3.2.0
	//   - name: cloud/dmp/ms-ingestion
	//     version: 1.0.2
}
