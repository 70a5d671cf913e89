package suite

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// setup is the script, with the words that Setup puts in as @word@.
//
//go:embed setup.sh
var setup string

// urlForm matches the addresses that a host can be given. They have no character that means anything to a shell or to sources.list(5), and no credentials:
// those belong into auth.conf(5).
var urlForm = regexp.MustCompile(`^https?://(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)*/?$`)

// Setup writes a shell script that makes a Debian host (11 or newer) take packages from a suite: it fetches the keyring from keyURL to
// /etc/apt/keyrings/entrepot.asc, and writes /etc/apt/sources.list.d/entrepot-<suite>.sources, which trusts that keyring for this source alone.
// base is the base URI, as https://registry.example.com/apt. The script may run again at any time, which is also how a host gets a new keyring. It needs
// nothing that a minimal Debian does not have, and fetches the key as apt fetches packages: through the same proxy, with the same credentials.
// With DESTDIR in its environment it writes below that folder.
func Setup(base, suite string, components []string, keyURL string) (string, error) {
	for _, address := range []string{base, keyURL} {
		if err := checkURL(address); err != nil {
			return "", fmt.Errorf("setup script: address %.200q: %w", address, err)
		}
	}
	if err := CheckName(suite); err != nil {
		return "", fmt.Errorf("setup script: name of the suite: %w", err)
	}
	if len(components) == 0 {
		return "", errors.New("setup script: no component is named")
	}
	for _, c := range components {
		if err := CheckName(c); err != nil {
			return "", fmt.Errorf("setup script: component: %w", err)
		}
	}
	return strings.NewReplacer("@base@", strings.TrimSuffix(base, "/"), "@suite@", suite, "@components@", strings.Join(components, " "), "@key@", keyURL).Replace(setup), nil
}

func checkURL(s string) error {
	if len(s) > maxPath || !urlForm.MatchString(s) || strings.Contains(s+"/", "/../") || strings.Contains(s+"/", "/./") {
		return errors.New("use http:// or https://, a host, and a clean path of letters, digits and ._~-")
	}
	return nil
}
