package ldap

import (
	"crypto/tls"
	"net"
	"slices"
	"sync"
	"testing"

	ber "github.com/go-asn1-ber/asn1-ber"
	goldap "github.com/go-ldap/ldap/v3"
)

// fake is a directory that says what a test wants: what no true one can be brought to say. Its fields are set before the first login, or by change.
type fake struct {
	addr      string
	private   *tls.Config                // with it, StartTLS succeeds
	passwords map[string]string          // by DN
	found     map[string][]*goldap.Entry // by base and filter, with a space between them
	instead   map[string]func(m message) // by operation ("bind", "search", "extended"), or "bind" and a DN: called instead of the usual

	mu   sync.Mutex
	seen []string
	open map[net.Conn]bool
}

// message is one request, and where to answer it.
type message struct {
	net.Conn
	id int64
	op *ber.Packet
}

const (
	base   = "ou=people,dc=example,dc=com"
	groups = "ou=groups,dc=example,dc=com"
	reader = "cn=reader,dc=example,dc=com"
	alice  = "uid=alice," + base

	groupsOfAlice = groups + " (|(member=" + alice + ")(uniqueMember=" + alice + ")(memberUid=Alice))"
)

// newFake starts a directory with one user, alice, who is in the groups dev and ops.
func newFake(t testing.TB) *fake {
	t.Helper()
	f := &fake{
		passwords: map[string]string{reader: "searcher", alice: "wonder"},
		found: map[string][]*goldap.Entry{
			base + " (uid=alice)": {entry(alice, "uid", "Alice")},
			groupsOfAlice: {
				entry("cn=ops,"+groups, "cn", "ops"), entry("cn=dev,"+groups, "cn", "dev"),
			},
		},
		instead: map[string]func(message){},
		open:    map[net.Conn]bool{},
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = l.Addr().String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.open[c] = true
			f.mu.Unlock()
			all.Go(func() {
				defer c.Close()
				f.serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.mu.Lock()
		for c := range f.open {
			c.Close()
		}
		f.mu.Unlock()
		all.Wait()
	})
	return f
}

// entry makes an entry of an attribute's name and its values.
func entry(dn, attribute string, values ...string) *goldap.Entry {
	return &goldap.Entry{DN: dn, Attributes: []*goldap.EntryAttribute{goldap.NewEntryAttribute(attribute, values)}}
}

func (f *fake) serve(c net.Conn) {
	f.note("connect")
	for {
		p, err := ber.ReadPacket(c)
		if err != nil || len(p.Children) < 2 {
			return
		}
		m := message{Conn: c, id: p.Children[0].Value.(int64), op: p.Children[1]}
		switch m.op.Tag {
		case goldap.ApplicationBindRequest:
			f.bind(m)
		case goldap.ApplicationSearchRequest:
			f.search(m)
		case goldap.ApplicationExtendedRequest:
			f.note("extended")
			if f.replaced(m, "extended") {
				continue
			}
			if f.private == nil {
				m.result(goldap.ApplicationExtendedResponse, goldap.LDAPResultProtocolError, "unsupported extended operation")
				continue
			}
			m.result(goldap.ApplicationExtendedResponse, 0, "")
			c = tls.Server(c, f.private)
		default:
			return
		}
	}
}

func (f *fake) bind(m message) {
	dn, secret := m.op.Children[1].Value.(string), m.op.Children[2].Data.String()
	f.note("bind " + dn)
	switch {
	case f.replaced(m, "bind "+dn) || f.replaced(m, "bind"):
	case secret == "" || f.password(dn) == secret: // as RFC 4513 has it: without a password, anybody is anonymous and welcome
		m.result(goldap.ApplicationBindResponse, 0, "")
	default:
		m.result(goldap.ApplicationBindResponse, goldap.LDAPResultInvalidCredentials, "the password "+secret+" is wrong")
	}
}

func (f *fake) search(m message) {
	filter, err := goldap.DecompileFilter(m.op.Children[6])
	where := m.op.Children[0].Value.(string)
	f.note("search " + where + " " + filter)
	if f.replaced(m, "search") || err != nil {
		return
	}
	limit := m.op.Children[3].Value.(int64)
	f.mu.Lock()
	found := f.found[where+" "+filter]
	f.mu.Unlock()
	for i, e := range found {
		if int64(i) == limit {
			m.result(goldap.ApplicationSearchResultDone, goldap.LDAPResultSizeLimitExceeded, "")
			return
		}
		m.entry(e)
	}
	m.result(goldap.ApplicationSearchResultDone, 0, "")
}

func (f *fake) password(dn string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.passwords[dn]
}

func (f *fake) replaced(m message, what string) bool {
	f.mu.Lock()
	instead := f.instead[what]
	f.mu.Unlock()
	if instead != nil {
		instead(m)
	}
	return instead != nil
}

func (f *fake) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, what)
}

// change changes what the directory says while it serves.
func (f *fake) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
}

// asked returns what the directory was asked since the last time.
func (f *fake) asked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer func() { f.seen = nil }()
	return slices.Clone(f.seen)
}

func (m message) send(op *ber.Packet) {
	p := ber.NewSequence("")
	p.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagInteger, m.id, ""))
	p.AppendChild(op)
	_, _ = m.Write(p.Bytes())
}

// result sends the end of an answer.
func (m message) result(tag ber.Tag, code uint16, words string) {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, tag, nil, "")
	op.AppendChild(ber.NewInteger(ber.ClassUniversal, ber.TypePrimitive, ber.TagEnumerated, uint64(code), ""))
	op.AppendChild(octets(""))
	op.AppendChild(octets(words))
	m.send(op)
}

// entry sends one entry of an answer.
func (m message) entry(e *goldap.Entry) {
	attributes := ber.NewSequence("")
	for _, a := range e.Attributes {
		values := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		for _, v := range a.Values {
			values.AppendChild(octets(v))
		}
		attribute := ber.NewSequence("")
		attribute.AppendChild(octets(a.Name))
		attribute.AppendChild(values)
		attributes.AppendChild(attribute)
	}
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, goldap.ApplicationSearchResultEntry, nil, "")
	op.AppendChild(octets(e.DN))
	op.AppendChild(attributes)
	m.send(op)
}

// reference sends a continuation reference (RFC 4511, section 4.5.3).
func (m message) reference(url string) {
	op := ber.Encode(ber.ClassApplication, ber.TypeConstructed, goldap.ApplicationSearchResultReference, nil, "")
	op.AppendChild(octets(url))
	m.send(op)
}

func octets(s string) *ber.Packet {
	return ber.NewString(ber.ClassUniversal, ber.TypePrimitive, ber.TagOctetString, s, "")
}

// config is how to reach the fake, as a reader with a password.
func (f *fake) config(t testing.TB) Config {
	return Config{
		URL: "ldap://" + f.addr, BindDN: reader, BindPasswordFile: file(t, "password", "searcher\n"),
		UserBase: base, GroupBase: groups,
	}
}
