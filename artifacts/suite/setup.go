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
// /etc/apt/keyrings/entrepot-<registry>.asc, and writes /etc/apt/sources.list.d/entrepot-<registry>_<suite>.sources, which trusts that keyring for this source
// alone. base is the base URI, as https://registry.example.com/apt, and the registry its host, so that a host may take packages from several. The script may run again at any time, which is also how a host gets a new keyring. It needs
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
	host := fileName(base)
	if len(host)+len(suite) > maxFileName {
		return "", fmt.Errorf("setup script: the host of %.200q and the name of the suite have more than %d characters together, too many for the name of a file", base, maxFileName)
	}
	return strings.NewReplacer("@base@", strings.TrimSuffix(base, "/"), "@host@", host, "@suite@", suite, "@components@", strings.Join(components, " "), "@key@", keyURL).
		Replace(setup), nil
}

// maxFileName is how much of a file's 255 bytes is left for a host and a suite.
const maxFileName = 230

// fileName is the host of a checked address as it can stand in the name of a file that apt reads (sources.list(5)): registry.example.com_5000.
func fileName(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	host, _, _ := strings.Cut(rest, "/")
	return strings.NewReplacer(":", "_", "[", "_", "]", "_").Replace(strings.ToLower(host))
}

func checkURL(s string) error {
	if len(s) > maxPath || !urlForm.MatchString(s) || strings.Contains(s+"/", "/../") || strings.Contains(s+"/", "/./") {
		return errors.New("use http:// or https://, a host, and a clean path of letters, digits and ._~-")
	}
	return nil
}
