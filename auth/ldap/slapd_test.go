//go:build clients

package ldap

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	goldap "github.com/go-ldap/ldap/v3"
)

const (
	suffix = "dc=example,dc=com"
	admin  = "cn=admin," + suffix

	// These tests stay away from 127.0.0.1: no connection of another process takes a port here while slapd is down.
	loop = "127.83.0.1"
)

// slapd is a true OpenLDAP server in a folder of its own. It has a reader who may search, people who may do nothing but bind, and lets anybody in as
// nobody who shows no password.
type slapd struct {
	dir, plain, private, ca string
	t                       *testing.T

	cmd   *exec.Cmd
	log   *bytes.Buffer
	ended chan struct{}
}

// slapdConf is slapd.conf(5); the folder and the files of the certificate are filled in.
const slapdConf = `
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
pidfile %[1]s/slapd.pid
TLSCertificateFile %[2]s
TLSCertificateKeyFile %[3]s
TLSCACertificateFile %[4]s
allow bind_anon_dn
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=reader,dc=example,dc=com" read by * none
database mdb
suffix "dc=example,dc=com"
rootdn "cn=admin,dc=example,dc=com"
rootpw administer
directory %[1]s/db
maxsize 16777216
index objectClass,uid,member eq
overlay memberof
overlay ppolicy
ppolicy_default "cn=policy,dc=example,dc=com"
`

func startSlapd(t *testing.T) *slapd {
	t.Helper()
	if _, err := os.Stat("/usr/sbin/slapd"); err != nil {
		t.Fatal("this test needs OpenLDAP's server: apt-get install --no-install-recommends slapd")
	}
	s := &slapd{t: t, dir: t.TempDir()}
	s.plain, s.private = free(t)
	ca, cert, key := authority(t, loop)
	s.ca = ca
	if err := os.Mkdir(filepath.Join(s.dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	conf := fmt.Sprintf(slapdConf, s.dir, cert, key, ca)
	if err := os.WriteFile(filepath.Join(s.dir, "slapd.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	t.Cleanup(s.kill)
	s.fill()
	return s
}

// free returns two addresses that nobody listens on.
func free(t *testing.T) (one, other string) {
	t.Helper()
	var all [2]string
	for i := range all {
		l, err := net.Listen("tcp", loop+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		all[i] = l.Addr().String()
	}
	return all[0], all[1]
}

// start starts slapd and waits until it answers.
func (s *slapd) start() {
	s.t.Helper()
	// It reserves memory for as many connections as it may open files, which may be a million.
	cmd := exec.Command("/bin/sh", "-c", `ulimit -n 256; exec /usr/sbin/slapd "$@"`, "slapd",
		"-d", "none", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", "ldap://"+s.plain+"/ ldaps://"+s.private+"/")
	log, ended, started := &bytes.Buffer{}, make(chan struct{}), make(chan error)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// Pdeathsig fires when the starting thread ends, so that thread has to live as long as slapd.
	go func() {
		runtime.LockOSThread()
		started <- cmd.Start()
		if cmd.Process != nil {
			_ = cmd.Wait()
		}
		close(ended)
	}()
	if err := <-started; err != nil {
		s.t.Fatalf("start slapd: %v", err)
	}
	s.cmd, s.log, s.ended = cmd, log, ended
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if c, err := net.DialTimeout("tcp", s.private, time.Second); err == nil { // the second address it listens on
			c.Close()
			return
		}
		select {
		case <-ended:
			s.t.Fatalf("slapd ended at start:\n%s", log)
		default:
		}
		if time.Now().After(deadline) {
			s.kill()
			s.t.Fatalf("slapd does not answer after 30 s:\n%s", log)
		}
	}
}

// kill ends slapd at once and waits until it is gone.
func (s *slapd) kill() {
	_ = s.cmd.Process.Kill()
	<-s.ended
}

// admin runs something as the administrator of the directory.
func (s *slapd) admin(do func(*goldap.Conn) error) {
	s.t.Helper()
	c, err := goldap.DialURL("ldap://" + s.plain)
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close()
	c.SetTimeout(10 * time.Second)
	if err := errors.Join(c.Bind(admin, "administer"), do(c)); err != nil {
		s.t.Fatal(err)
	}
}

// add adds an entry; what follows the DN are names of attributes, each with a value behind it.
func (s *slapd) add(dn string, attributes ...string) {
	s.t.Helper()
	values := map[string][]string{}
	for i := 0; i < len(attributes); i += 2 {
		values[attributes[i]] = append(values[attributes[i]], attributes[i+1])
	}
	r := goldap.NewAddRequest(dn, nil)
	for name, all := range values {
		r.Attribute(name, all)
	}
	s.admin(func(c *goldap.Conn) error { return c.Add(r) })
}

// modify adds or removes (do is goldap.AddAttribute or DeleteAttribute) one value of an attribute.
func (s *slapd) modify(dn string, do uint, attribute, value string) {
	s.t.Helper()
	r := goldap.NewModifyRequest(dn, nil)
	r.Changes = []goldap.Change{{Operation: do, Modification: goldap.PartialAttribute{Type: attribute, Vals: []string{value}}}}
	s.admin(func(c *goldap.Conn) error { return c.Modify(r) })
}

func (s *slapd) person(dn, uid, secret string, more ...string) {
	s.t.Helper()
	s.add(dn, append([]string{"objectClass", "inetOrgPerson", "cn", uid, "sn", uid, "uid", uid, "userPassword", secret}, more...)...)
}

// odd is a DN in which every kind of character needs care somewhere.
const odd = `cn=Müller\, Jörg (*) \+ Söhne \#1,` + base

func (s *slapd) fill() {
	s.t.Helper()
	s.add(suffix, "objectClass", "dcObject", "objectClass", "organization", "dc", "example", "o", "Example")
	s.add(base, "objectClass", "organizationalUnit", "ou", "people")
	s.add(groups, "objectClass", "organizationalUnit", "ou", "groups")
	s.add(reader, "objectClass", "organizationalRole", "objectClass", "simpleSecurityObject", "cn", "reader", "userPassword", "searcher")
	s.add("cn=policy,"+suffix, "objectClass", "organizationalRole", "objectClass", "pwdPolicy", "cn", "policy", "pwdAttribute", "userPassword",
		"pwdLockout", "TRUE", "pwdMaxFailure", "3")

	s.person("uid=Alice,"+base, "Alice", "wonder", "mail", "alice@example.com")
	s.person("uid=bob,"+base, "bob", "builder", "mail", "team@example.com")
	s.person("uid=carol,"+base, "carol", "singer", "mail", "team@example.com")
	s.person(odd, "jörg", "grün", "cn", "Müller, Jörg (*) + Söhne #1")
	s.add("uid=none,"+base, "objectClass", "inetOrgPerson", "cn", "none", "sn", "none", "uid", "none")

	s.add("cn=dev,"+groups, "objectClass", "groupOfNames", "cn", "dev", "member", "uid=alice,"+base, "member", odd)
	s.add("cn=ops,"+groups, "objectClass", "groupOfUniqueNames", "cn", "ops", "uniqueMember", "uid=alice,"+base)
	s.add("cn=unix,"+groups, "objectClass", "posixGroup", "cn", "unix", "gidNumber", "1000", "memberUid", "Alice")
	s.add("cn=lower,"+groups, "objectClass", "posixGroup", "cn", "lower", "gidNumber", "1001", "memberUid", "alice", "memberUid", "*")
	s.add("cn=Release Managers,"+groups, "objectClass", "groupOfNames", "cn", "Release Managers", "member", "uid=bob,"+base)
}

// config is how to reach slapd over ldaps as the reader.
func (s *slapd) config() Config {
	return Config{
		URL: "ldaps://" + s.private, CAFile: s.ca, BindDN: reader, BindPasswordFile: file(s.t, "password", "searcher"),
		UserBase: base, GroupBase: groups,
	}
}
