package main

import (
	"fmt"

	"github.com/entrepot/entrepot/registry/retain"
)

// maxRetention is how many rules of retention are taken.
const maxRetention = 1000

// retention looks at the rules by which tags are kept, each by itself.
func (j *judge) retention(all []retain.Rule) {
	if len(all) > maxRetention {
		j.wrong("retention", "there are %d rules; at most %d are taken", len(all), maxRetention)
		return
	}
	for i, r := range all {
		at := fmt.Sprintf("retention[%d]", i)
		for _, f := range r.Faults() {
			field := at
			if f.Field != "" {
				field += "." + f.Field
			}
			j.wrong(field, "%s", f.Text)
		}
	}
}
