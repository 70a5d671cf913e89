package main

import (
	_ "embed"
	"time"

	"github.com/entrepot/entrepot/registry"
	registrytransfer "github.com/entrepot/entrepot/registry/transfer"
)

// source is this file. `config example` prints the sentences above the fields below, so the example cannot say anything else.
//
//go:embed config.go
var source string

// Config is how a registry is set up. Every field is optional.
type Config struct {
	// Where the registry listens, as host:port. An empty host means every address of the machine, port 0 any free one.
	Listen string `yaml:"listen"`

	// How clients reach the registry when that is not where it listens, as behind a proxy: https://registry.example.com.
	URL string `yaml:"url"`

	// The folder of everything that is kept, unless a section below says otherwise.
	Data string `yaml:"data"`

	// Serving over TLS.
	TLS TLS `yaml:"tls"`

	// Where content lives.
	Storage Storage `yaml:"storage"`

	// Where names, tags and everything else about content live.
	Index Index `yaml:"index"`

	// Who may do what.
	Auth Auth `yaml:"auth"`

	// Other registries that are pulled through this one: docker.io/library/alpine is what docker.io calls library/alpine.
	Upstreams []UpstreamEntry `yaml:"upstreams"`

	// What is copied from upstreams into this registry on a schedule, so that it is here before anybody pulls, and stays when the upstream goes.
	Mirror []MirrorEntry `yaml:"mirror"`

	// Components: how their documents are judged, and what their apt suites are like.
	Artifacts Artifacts `yaml:"artifacts"`

	// When content goes that nothing names any more.
	GC GC `yaml:"gc"`

	// Which tags and manifests are kept, where not all are. Something goes only if no rule that is about it keeps it; what is immutable or deployed always stays.
	Retention []RetentionEntry `yaml:"retention"`

	// What repositories may hold together. A push that would exceed it is refused, and nothing of it is kept.
	Quotas []QuotaEntry `yaml:"quotas"`

	// When all content is read again and compared with its digests.
	Scrub Scrub `yaml:"scrub"`

	// Backups of metadata, which the registry makes by itself while it serves.
	Backup Backup `yaml:"backup"`

	// How much, and how long.
	Limits Limits `yaml:"limits"`

	// What is told to the operator.
	Log Log `yaml:"log"`

	// Serve measurements for Prometheus at /metrics.
	Metrics bool `yaml:"metrics"`

	// Serve Go's profiles at /debug/pprof, for developers. Only with a loopback address.
	Profiles bool `yaml:"profiles"`

	// Where requests are traced to.
	Tracing Tracing `yaml:"tracing"`

	// Let clients delete content. With false, every DELETE of content is answered 405.
	Deletes bool `yaml:"deletes"`

	origin origins // where values were given, to name that in a fault
}

// TLS is how connections are encrypted; the files are read again when they change.
type TLS struct {
	// The certificate chain, a PEM file. With it and the key, the registry speaks HTTPS only.
	Cert string `yaml:"cert"`

	// The certificate's private key, a PEM file.
	Key string `yaml:"key"`

	// The authorities whose client certificates are asked for, a PEM file.
	ClientCA string `yaml:"clientCA"`
}

// Storage says where content lives.
type Storage struct {
	// Content in files.
	Disk Disk `yaml:"disk"`

	// Content in an S3 bucket, if one is named.
	S3 S3 `yaml:"s3"`
}

// S3 keeps content in a bucket. Any number of registries may share it, with a database that they share as well.
type S3 struct {
	// The bucket, which exists already. Empty means that content is in files.
	Bucket string `yaml:"bucket"`

	// Where it lies. Empty means what the AWS configuration says, and us-east-1 with an endpoint.
	Region string `yaml:"region"`

	// The address of a server other than Amazon's, as https://s3.example.com.
	Endpoint string `yaml:"endpoint"`

	// The address under which clients reach it, if that is another one.
	PublicEndpoint string `yaml:"publicEndpoint"`

	// What is put before every key, so that a bucket can hold several things.
	Prefix string `yaml:"prefix"`

	// Put the bucket into the path of addresses and not into the name of the host, as most servers other than Amazon's want it.
	ForcePathStyle bool `yaml:"forcePathStyle"`

	// Who logs in. Empty means whom the AWS tools would find: in the environment, in ~/.aws, or by the machine's role.
	AccessKey string `yaml:"accessKey"`

	// A file with the secret key that belongs to the access key.
	SecretKeyFile string `yaml:"secretKeyFile"`

	// How the server encrypts: AES256 or aws:kms. Empty means as the bucket is set up.
	SSE string `yaml:"sse"`

	// The key for aws:kms. Empty means the bucket's own.
	KMSKey string `yaml:"kmsKey"`

	// The storage class of content. Empty means the default.
	StorageClass string `yaml:"storageClass"`

	// The most bytes that all uploads together hold in memory.
	Memory Bytes `yaml:"memory"`

	// Send clients that pull a blob straight to the bucket, by a link that is good for linkTTL.
	Redirect bool `yaml:"redirect"`

	// For how long such links are good.
	LinkTTL time.Duration `yaml:"linkTTL"`
}

// Disk keeps content in a folder.
type Disk struct {
	// The folder. Empty means data itself.
	Path string `yaml:"path"`
}

// Index says where metadata lives.
type Index struct {
	// Metadata in one file.
	Bolt Bolt `yaml:"bolt"`

	// Metadata in a PostgreSQL database, if one is named.
	Postgres Postgres `yaml:"postgres"`
}

// Postgres keeps metadata in a database. Any number of registries may share it, with a bucket that they share as well.
type Postgres struct {
	// The database, as postgres://user:password@db.example.com:5432/registry?sslmode=verify-full. What is left out comes from PostgreSQL's own variables
	// (PGPASSFILE and so on). Empty means that metadata is in a file.
	URL string `yaml:"url"`

	// The schema that holds the tables, and exists already. Empty means the user's first, mostly public.
	Schema string `yaml:"schema"`

	// The most connections of one registry. 0 means 16.
	Connections int `yaml:"connections"`
}

// Bolt keeps metadata in a file.
type Bolt struct {
	// The file. Empty means index.db in data.
	Path string `yaml:"path"`
}

// Auth says who may do what.
type Auth struct {
	// What somebody without a name may do: none, pull, or full (everything, to everybody: for trusted networks).
	// Empty means everything while listening on a loopback address that no url leads to and nobody was ever configured, and nothing otherwise.
	Anonymous string `yaml:"anonymous"`

	// How long a token is good, 1m to 1h. Rights that were withdrawn may last that long with clients that hold one.
	TokenTTL time.Duration `yaml:"tokenTTL"`

	// How long a docker login or a browser's session lasts, 1h to 365d.
	LoginTTL time.Duration `yaml:"loginTTL"`

	// People with a name and a password in a file.
	Users Users `yaml:"users"`

	// Who has which role where, beside what was granted through the API.
	Grants []GrantEntry `yaml:"grants"`

	// Issuers of OpenID Connect tokens that are believed: for CI jobs, programs and machines, and for people in a browser.
	OIDC []OIDCProvider `yaml:"oidc"`

	// GitLab servers whose own tokens are believed, such as CI_JOB_TOKEN and personal access tokens.
	GitLab []GitLabServer `yaml:"gitlab"`

	// Directories that know people, their passwords and their groups.
	LDAP []LDAPDirectory `yaml:"ldap"`
}

// UpstreamEntry is a registry that is pulled through.
type UpstreamEntry struct {
	// What repositories' names begin with here, as in the names of images: docker.io. It has a full stop in it.
	Name string `yaml:"name"`

	// Where it is, and its mirrors, in the order in which they are tried. https:// unless on this machine.
	URLs []string `yaml:"urls"`

	// Who logs in; empty means nobody.
	Username string `yaml:"username"`

	// The password, or a token. Better in a file.
	Password string `yaml:"password"`

	// A file with the password, read again when it changes.
	PasswordFile string `yaml:"passwordFile"`

	// Instead of a username: a config.json of docker whose logins are used.
	DockerConfig string `yaml:"dockerConfig"`

	// Instead of a username: a credential helper of docker that is asked, as docker-credential-ecr-login.
	Helper string `yaml:"helper"`

	// Instead of a username: everybody shows credentials of their own, by logging in here as NAME@ and the upstream's name. What is kept is only for those whom the
	// upstream lets pull it.
	Callers bool `yaml:"callers"`

	// For how long the upstream's word is good that a caller may pull from a repository, at most 1h. 0s means 5m.
	AdmissionTTL time.Duration `yaml:"admissionTTL"`

	// Hosts of token services that may be told the password besides the upstream's own; Docker Hub's is known.
	Realms []string `yaml:"realms"`

	// The most bytes a second that are fetched. 0 means no limit.
	Bandwidth Bytes `yaml:"bandwidth"`

	// The most requests at once; a quarter of them is kept free of blobs. 0 means 16.
	Connections int `yaml:"connections"`

	// For how long nobody asks again what a tag names.
	TagTTL time.Duration `yaml:"tagTTL"`

	// For how long after the upstream's last word a tag is served when the upstream does not answer. 0s means for as long as it is kept.
	StaleFor time.Duration `yaml:"staleFor"`

	// The most bytes that are kept of it: beyond that the images go that nobody has pulled for longest. 0 means no limit.
	MaxBytes Bytes `yaml:"maxBytes"`

	// Images that are younger are not let through, as 72h. 0s means that any are.
	MinAge time.Duration `yaml:"minAge"`

	// What tags name whatever the upstream says, as {"library/alpine:3.20": "sha256:…"}.
	Pins map[string]string `yaml:"pins"`

	// Take pushes too. What was pushed here wins over what the upstream has.
	Writable bool `yaml:"writable"`

	// The repositories that may be pulled through, as library/* or team/**. Empty means all.
	Allow []string `yaml:"allow"`

	// Those that may not, although allow would.
	Deny []string `yaml:"deny"`

	// A PEM file of authorities that are believed beside the system's.
	CA string `yaml:"ca"`

	// Look here for what no name says is elsewhere, and is not in this registry, as Docker Engine asks its mirror of Docker Hub. One at most.
	Root bool `yaml:"root"`

	// Ask nothing: what is kept is all there is.
	Offline bool `yaml:"offline"`
}

// MirrorEntry is a repository that is copied here.
type MirrorEntry struct {
	// The repository, an upstream's name first, as docker.io/library/alpine. Each has one entry at most.
	Repository string `yaml:"repository"`

	// The tags, as latest or 3.* (* stands for anything, ? for a character). Empty, with no versions either, means all.
	Tags []string `yaml:"tags"`

	// Besides, those tags that are versions for which all of this holds, as >=3.18 <4. Operators are those of dependencies: >=, >, <=, <, =, !=, ~ and ^.
	Versions string `yaml:"versions"`

	// Of the tags that versions names only so many, the newest. 0 means all.
	Last int `yaml:"last"`

	// Of an index only the images for these, as linux/amd64 or linux/arm/v7. Empty means all.
	Platforms []string `yaml:"platforms"`

	// Also what refers to it: signatures, SBOMs, attestations, and what refers to those.
	Referrers bool `yaml:"referrers"`

	// How often, 1m or longer; 0s means only by hand (entrepot mirror run).
	Every time.Duration `yaml:"every"`
}

// preset gives an entry what holds for what is not said.
func (e *MirrorEntry) preset() { e.Referrers, e.Every = true, 24*time.Hour }

// Artifacts says how components are judged.
type Artifacts struct {
	// A manifest.yaml whose built_at is longer ago than this when it is pushed is stale. 0s: none is.
	StaleBuild time.Duration `yaml:"staleBuild"`

	// The images that may be built on, as in base_image of manifest.yaml, with * for what may be anything within one part of the path. Empty means any.
	BaseImages []string `yaml:"baseImages"`

	// The labels that every manifest.yaml must name.
	RequiredLabels []string `yaml:"requiredLabels"`

	// How grave it is that a rule is broken, where that is not its default: deny, warn or off, by the name of the rule.
	Rules map[string]string `yaml:"rules"`

	// The environments where a promotion takes the right to promote to the last environment. Empty means prod.
	LastEnvironments []string `yaml:"lastEnvironments"`

	// Apt suites of what is deployed.
	Apt Apt `yaml:"apt"`
}

// Apt says what suites are like.
type Apt struct {
	// For how long hosts take a suite after it was published, 1h or longer; it is published again when half of that is over. 0s: for ever.
	ValidFor time.Duration `yaml:"validFor"`

	// The algorithm of new keys that sign suites: ed25519, or rsa4096 for hosts older than Debian 10.
	Algorithm string `yaml:"algorithm"`
}

// Users are people whom this registry knows by itself.
type Users struct {
	// A file as htpasswd -B writes it. It is read again when it changes.
	Htpasswd string `yaml:"htpasswd"`
}

// GrantEntry gives a role to somebody on a path.
type GrantEntry struct {
	// Who has the role: user:NAME, group:NAME, robot:NAME, ci:NAME, workload:NAME, node:NAME, or anyone, even without a name.
	Who string `yaml:"who"`

	// The role: reader, node, developer, ci, maintainer, domain-lead, auditor or admin.
	Role string `yaml:"role"`

	// The repository or path where it holds, with everything below; ** is everything.
	On string `yaml:"on"`
}

// Binding gives a role to whoever shows a token with certain claims.
type Binding struct {
	// The claims that a token must have, all of them, each with what it must be: * stands for anything but /, ** for anything, ? for a character.
	// A claim within another is written with a dot, as in kubernetes.io.namespace.
	Claims map[string]string `yaml:"claims"`

	// The role that it brings.
	Role string `yaml:"role"`

	// The repository or path where it holds, with everything below. {project_path} between slashes stands for the claim of that name.
	On string `yaml:"on"`
}

// OIDCProvider is an issuer of OpenID Connect tokens.
type OIDCProvider struct {
	// What the issuer is called here, which no other provider is: whom it vouches for is NAME@this. Of a-z, 0-9 and -, at most 32.
	Name string `yaml:"name"`

	// Its address, to the letter as its tokens have it in iss. http:// only with a loopback address.
	Issuer string `yaml:"issuer"`

	// What tokens that bind is for must have in aud, so that one which was made for somebody else opens nothing here.
	Audience string `yaml:"audience"`

	// Its public keys, a JWKS file, where the registry cannot ask it for them. Nobody can log in there with a browser then.
	JWKSFile string `yaml:"jwksFile"`

	// Authorities that its certificate may come from besides those of the machine, a PEM file.
	CAFile string `yaml:"caFile"`

	// What shows these tokens: ci (jobs), workload (programs) or node (machines). Empty means ci.
	Kind string `yaml:"kind"`

	// The claim that names whoever shows a token. Empty means sub.
	NameClaim string `yaml:"nameClaim"`

	// What tokens are good for, by their claims. One may fit several bindings.
	Bind []Binding `yaml:"bind"`

	// The name under which the issuer knows this registry. With it, people can log in there with their browser.
	ClientID string `yaml:"clientID"`

	// A file with the secret that goes with it.
	ClientSecretFile string `yaml:"clientSecretFile"`

	// What the registry asks to know about people who log in, besides openid. Empty means profile and email.
	Scopes []string `yaml:"scopes"`

	// The claim with a person's name. Empty means preferred_username, or else email if it is verified, or else sub. What is not in the ID token is asked of
	// the issuer's userinfo endpoint, if it has one; the same holds for groups.
	UserClaim string `yaml:"userClaim"`

	// The claim with a person's groups. Empty means that the issuer says nothing about groups.
	GroupsClaim string `yaml:"groupsClaim"`

	// What is put before the name of each of these groups, so that they are not taken for those of another provider.
	GroupsPrefix string `yaml:"groupsPrefix"`
}

// GitLabServer is a GitLab that is asked whose its tokens are.
type GitLabServer struct {
	// What the server is called here, which no other provider is: whom it vouches for is NAME@this. Of a-z, 0-9 and -, at most 32.
	Name string `yaml:"name"`

	// Its address. http:// only with a loopback address.
	URL string `yaml:"url"`

	// Authorities that its certificate may come from besides those of the machine, a PEM file.
	CAFile string `yaml:"caFile"`

	// How its tokens begin if it was told to begin them in a way of its own, not with glpat- and the like. No other secret is ever shown to it.
	Prefixes []string `yaml:"prefixes"`

	// What tokens are good for beside what is granted to whom they name, by what GitLab says about them: token (personal, job or deploy),
	// project_path, username and so on.
	Bind []Binding `yaml:"bind"`
}

// LDAPDirectory is a directory that knows people.
type LDAPDirectory struct {
	// Its address, ldaps:// or ldap://. The latter needs startTLS, unless it is a loopback address. Of several with spaces between them, the
	// first that answers is asked.
	URL string `yaml:"url"`

	// Encrypt a connection to ldap:// before anything is said.
	StartTLS bool `yaml:"startTLS"`

	// The authorities that its certificate may come from, a PEM file. Empty means those of the machine.
	CAFile string `yaml:"caFile"`

	// Who the registry is when it looks somebody up. Empty means nobody in particular.
	BindDN string `yaml:"bindDN"`

	// A file with the password that goes with it.
	BindPasswordFile string `yaml:"bindPasswordFile"`

	// Below what people are.
	UserBase string `yaml:"userBase"`

	// How somebody is found there; {name} stands for what was typed. Empty means by nameAttribute alone.
	UserFilter string `yaml:"userFilter"`

	// The attribute with a person's name. Empty means uid.
	NameAttribute string `yaml:"nameAttribute"`

	// Below what groups are. Empty means that the directory says nothing about groups.
	GroupBase string `yaml:"groupBase"`

	// How the groups of somebody are found there; {dn} and {name} stand for who it is. Empty means by member, uniqueMember or memberUid.
	GroupFilter string `yaml:"groupFilter"`

	// The attribute with a group's name. Empty means cn.
	GroupAttribute string `yaml:"groupAttribute"`
}

// GC says when content goes that nothing names any more. It goes while the registry serves.
type GC struct {
	// How often it is looked for. 0s: never.
	Every time.Duration `yaml:"every"`

	// For how long content is let be since it was pushed or a client was told that it is there: longer than a push takes.
	Grace time.Duration `yaml:"grace"`

	// For how long what is to go waits, in case that somebody wants it after all.
	Delay time.Duration `yaml:"delay"`
}

// RetentionEntry is a rule by which tags and manifests are kept. They go at the times of gc, as entrepot retention plan tells before.
type RetentionEntry struct {
	// The repositories that it is about: cloud/dmp/* (* stands for anything in one part of a name, ? for a character), cloud/** (cloud and all below it), or ** for
	// all. What is kept of an upstream is meant only where its whole name stands first, as in docker.io/**.
	Repositories []string `yaml:"repositories"`

	// The tags that it is about, as pr-*. Empty means all.
	Tags []string `yaml:"tags"`

	// Keep so many of these tags, the newest: of those that are versions the highest, in each format, and of the others those that were pushed last.
	KeepLast int `yaml:"keepLast"`

	// Keep those that were pulled, or pushed, within this time.
	KeepPulled time.Duration `yaml:"keepPulled"`

	// Keep those that were pushed within this time: only older ones go.
	OlderThan time.Duration `yaml:"olderThan"`

	// Manifests without a tag go when nobody has pulled or pushed them for this long, unless they are part of an index or refer to something that is there. 0s
	// means that the rule is not about them.
	Untagged time.Duration `yaml:"untagged"`
}

// QuotaEntry bounds what the repositories at and below a path hold together.
type QuotaEntry struct {
	// The repository or path that it is about, with everything below; ** is everything. What is pulled through counts where a path covers it, but is bounded by
	// its upstream's maxBytes alone.
	On string `yaml:"on"`

	// The most bytes of all blobs, each counted once however many repositories hold it, and of manifests. 0 means no limit, as in all of these.
	Bytes Bytes `yaml:"bytes"`

	// The most manifests: images, charts, packages, signatures and so on.
	Manifests int `yaml:"manifests"`

	// The most tags.
	Tags int `yaml:"tags"`

	// The most repositories.
	Repositories int `yaml:"repositories"`
}

// Scrub says when all content is read again. What is damaged is put aside, and healed from where it came if that is possible.
type Scrub struct {
	// How often that begins. 0s: only by hand.
	Every time.Duration `yaml:"every"`

	// How much of it is read in a second.
	Rate Bytes `yaml:"rate"`

	// Where what is damaged or missing may be had besides. These are only read, and asked in this order, before upstreams.
	Peer Peer `yaml:"peer"`
}

// Peer says where the same content may be.
type Peer struct {
	// The folder in which another registry keeps its content (its data or storage.disk.path), or a copy of one. Nothing is written there, and it may be away, as a
	// disk that is not mounted. Empty means none.
	Disk string `yaml:"disk"`

	// The bucket in which another registry keeps its content, or a copy of one.
	S3 PeerBucket `yaml:"s3"`

	// Another registry that has the same repositories.
	Registry PeerRegistry `yaml:"registry"`
}

// PeerBucket is a bucket that is read.
type PeerBucket struct {
	// The bucket. Empty means none.
	Bucket string `yaml:"bucket"`

	// Where it lies. Empty means what the AWS configuration says, and us-east-1 with an endpoint.
	Region string `yaml:"region"`

	// The address of a server other than Amazon's, as https://s3.example.com.
	Endpoint string `yaml:"endpoint"`

	// What stands before every key.
	Prefix string `yaml:"prefix"`

	// Put the bucket into the path of addresses and not into the name of the host, as most servers other than Amazon's want it.
	ForcePathStyle bool `yaml:"forcePathStyle"`

	// Who logs in: s3:GetObject is all that is needed, and s3:ListBucket so that what is absent is told from what is forbidden. Empty means whom the AWS tools
	// would find.
	AccessKey string `yaml:"accessKey"`

	// A file with the secret key that belongs to the access key.
	SecretKeyFile string `yaml:"secretKeyFile"`
}

// PeerRegistry is a registry that is asked.
type PeerRegistry struct {
	// Its address, as https://registry.example.com; http:// only with a loopback address. Empty means none.
	URL string `yaml:"url"`

	// Who logs in, and may pull there; empty means nobody.
	Username string `yaml:"username"`

	// A file with the password, read again when it changes.
	PasswordFile string `yaml:"passwordFile"`

	// Hosts of token services that may be told the password besides the registry's own.
	Realms []string `yaml:"realms"`

	// A PEM file of authorities that are believed beside the system's.
	CA string `yaml:"ca"`
}

// Backup says which backups the registry makes by itself. Of several registries over one index one makes them. They have what entrepot backup saves, accounts and
// keys too, so whoever can read the place has the whole registry.
type Backup struct {
	// How long after one the next is made. 0s: never.
	Every time.Duration `yaml:"every"`

	// How many are kept, the newest. What else lies there is let be.
	Keep int `yaml:"keep"`

	// Where they are kept: a folder that exists, better one on another medium; or bucket, that of content, under backups/.
	To string `yaml:"to"`

	// Whether content stays that a kept backup may need, after nothing else names it any more. If not, it goes after gc.delay.
	Content bool `yaml:"content"`
}

// toBucket is what Backup.To says for the bucket of content. A folder of that name is ./bucket.
const toBucket = "bucket"

// Limits bound what one client can take.
type Limits struct {
	// The largest manifest that is accepted.
	ManifestBytes Bytes `yaml:"manifestBytes"`

	// How long an unfinished upload is kept after it last grew.
	UploadTTL time.Duration `yaml:"uploadTTL"`

	// How long transfers get to finish when the registry is told to stop.
	Drain time.Duration `yaml:"drain"`

	// How long a transfer may stand still before it is cut. One that moves is never cut, however slow it is.
	Stall time.Duration `yaml:"stall"`
}

// Log is what the registry writes to standard error.
type Log struct {
	// The least that is worth a line: debug, info, warn or error.
	Level string `yaml:"level"`

	// How a line is written: text or json.
	Format string `yaml:"format"`
}

// Tracing sends spans to a collector.
type Tracing struct {
	// The collector's OTLP/HTTP address, such as http://127.0.0.1:4318. Empty means no tracing.
	Endpoint string `yaml:"endpoint"`
}

// defaultConfig is a registry for the machine it runs on, with everything in one folder.
func defaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:5000",
		Data:   "./data",
		Auth:   Auth{TokenTTL: 5 * time.Minute, LoginTTL: 30 * 24 * time.Hour},
		Artifacts: Artifacts{
			StaleBuild: 30 * 24 * time.Hour,
			Apt:        Apt{Algorithm: "ed25519"},
		},
		Storage: Storage{S3: S3{Memory: 256 << 20, Redirect: true, LinkTTL: 15 * time.Minute}},
		GC:      GC{Every: registry.DefaultSweepEvery, Grace: registry.DefaultGrace, Delay: registry.DefaultDoomed},
		Scrub:   Scrub{Every: registry.DefaultScrubEvery, Rate: registry.DefaultScrubRate},
		Backup:  Backup{Keep: registrytransfer.DefaultKeep, Content: true},
		Limits: Limits{
			ManifestBytes: 4 << 20,
			UploadTTL:     24 * time.Hour,
			Drain:         30 * time.Second,
			Stall:         2 * time.Minute,
		},
		Log:     Log{Level: "info", Format: "text"},
		Metrics: true,
		Deletes: true,
	}
}
