package tree

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/entrepot/entrepot/artifacts"
	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/door"
	"github.com/entrepot/entrepot/registry"
)

var notThere = door.Answer{Status: http.StatusNotFound, Code: "UNKNOWN", Message: "there is nothing of this name"}

// unknown says that something is not there, and what to do.
func unknown(format string, args ...any) error {
	return &door.Refusal{Answer: notThere, Detail: map[string]string{"hint": fmt.Sprintf(format, args...)}}
}

// noComponent is what the door says of a component that the caller may not see, too.
func noComponent(err error, name string) error {
	if errors.Is(err, artifacts.ErrUnknown) {
		return &door.Refusal{Answer: door.Unknown, Detail: map[string]string{"name": name}}
	}
	return err
}

func noVersion(err error, component, number string) error {
	if errors.Is(err, artifacts.ErrUnknown) {
		return unknown("%s has no version %s; look at %s%s/versions/ for those that it has", component, auth.Clip(number), components, component)
	}
	return err
}

// lost turns the word that content is not there into a fault: what the catalog names must be.
func lost(err error, what string) error {
	switch registry.Code(err) {
	case registry.BlobUnknown, registry.ManifestUnknown:
		return fmt.Errorf("%s is lost: %v", what, err)
	}
	return err
}
