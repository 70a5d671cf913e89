package account

// The table of keys. Parts are joined by '!', which no account's name holds.
//
//	auth/epoch                          decimal; one more with every transaction that changed anything below but auth/used, or did no more than add a secret
//	auth/user/<name>                    a user with its generation and what its password was hashed to, as JSON
//	auth/robot/<name>                   a robot with its generation, as JSON
//	auth/secret/<id>                    a secret with its SHA-256, as JSON
//	auth/secret-of/<kind:name>!<id>     purpose, created, expires (0 is never), the credential it rests on; the owner has the secret
//	auth/used/<id>                      when the secret was last used; written some time later
//	auth/used/user:<name>               when the user last logged in; likewise
//	auth/grant/<id>                     id, who, role, path, by whom, created; the id is made of whom, what and where it is for
//
// Times outside of JSON are milliseconds since 1970, fields outside of JSON are separated by tabs.
const (
	keyEpoch = "auth/epoch"

	prefixUser     = "auth/user/"
	prefixRobot    = "auth/robot/"
	prefixSecret   = "auth/secret/"
	prefixSecretOf = "auth/secret-of/"
	prefixUsed     = "auth/used/"
	prefixGrant    = "auth/grant/"
)

func keyUser(name string) string       { return prefixUser + name }
func keyRobot(name string) string      { return prefixRobot + name }
func keySecret(id string) string       { return prefixSecret + id }
func keySecretOf(of, id string) string { return prefixSecretOf + of + "!" + id }
func keyUsed(what string) string       { return prefixUsed + what }
func keyGrant(id string) string        { return prefixGrant + id }
