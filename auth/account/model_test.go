package account

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/entrepot/entrepot/auth"
)

// The model says when a credential stands by what happened to its owner, not by what is stored.

type modelOwner struct {
	there, disabled   bool
	life              int // how often it was added
	passwords, stints int // how often it got a password, and how often it was disabled
	password          string
}

// moment is an owner as it was when a credential was made.
type moment struct{ life, passwords, stints int }

func (o *modelOwner) moment() moment { return moment{o.life, o.passwords, o.stints} }

type modelSecret struct {
	id, of, plain, purpose string
	expires                time.Time
	made                   moment
	rests                  *modelSecret // nil: on its owner
	revoked                bool
}

type model struct {
	owners  map[string]*modelOwner
	secrets []*modelSecret
	logins  []auth.Identity // by password or Identity
	made    []moment        // when
}

func (m *model) good(of string) bool { return m.owners[of].there && !m.owners[of].disabled }

// kept tells whether a secret is there at all.
func (m *model) kept(c *modelSecret) bool {
	o := m.owners[c.of]
	if c.revoked || !o.there || c.made.life != o.life {
		return false
	}
	if c.purpose == PurposeSecret || c.purpose == PurposeToken {
		return true
	}
	if c.rests != nil {
		return m.kept(c.rests) && c.made.stints == o.stints
	}
	return c.made == o.moment()
}

// works tells whether one can log in with it.
func (m *model) works(c *modelSecret, now time.Time) bool {
	return m.kept(c) && m.good(c.of) && now.Before(c.expires)
}

// stands tells whether a login is still good.
func (m *model) stands(i int) bool {
	of := m.logins[i].String()
	return m.good(of) && m.made[i] == m.owners[of].moment()
}

var modelNames = []string{"user:a", "robot:a"}

// TestModel does to accounts whatever can be done, in any order, and after each step asks about every credential there ever was.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t)
		ctx := t.Context()
		m := &model{owners: map[string]*modelOwner{}}
		for _, of := range modelNames {
			m.owners[of] = &modelOwner{}
		}
		aName := rapid.SampledFrom(modelNames)
		wantErr := func(err error, code string) {
			if Code(err) != code || code == "" && err != nil {
				rt.Fatalf("error %v, want code %q", err, code)
			}
		}
		there := func(of, code string) string {
			if m.owners[of].there {
				return code
			}
			return Unknown
		}
		rt.Repeat(map[string]func(*rapid.T){
			"add": func(rt *rapid.T) {
				of := aName.Draw(rt, "of")
				o, code, name := m.owners[of], "", of[len(of)-1:]
				if o.there {
					code = Exists
				}
				word := fmt.Sprintf("password %d", rapid.IntRange(0, 2).Draw(rt, "word"))
				if of[0] == 'u' {
					_, err := s.AddUser(ctx, name, word, nil, nil)
					wantErr(err, code)
				} else {
					_, err := s.AddRobot(ctx, Robot{Name: name, On: "a"})
					wantErr(err, code)
				}
				if code == "" {
					o.there, o.disabled, o.password = true, false, word
					o.life++
				}
			},
			"remove": func(rt *rapid.T) {
				of := aName.Draw(rt, "of")
				if of[0] == 'u' {
					wantErr(s.RemoveUser(ctx, of[5:]), there(of, ""))
				} else {
					wantErr(s.RemoveRobot(ctx, of[6:]), there(of, ""))
				}
				m.owners[of].there = false
			},
			"switch": func(rt *rapid.T) {
				of, disabled := aName.Draw(rt, "of"), rapid.Bool().Draw(rt, "disabled")
				o := m.owners[of]
				if of[0] == 'u' {
					_, err := s.ChangeUser(ctx, of[5:], UserChange{Disabled: &disabled})
					wantErr(err, there(of, ""))
				} else {
					_, err := s.ChangeRobot(ctx, of[6:], RobotChange{Disabled: &disabled})
					wantErr(err, there(of, ""))
				}
				if o.there && disabled && !o.disabled {
					o.stints++
				}
				o.disabled = disabled
			},
			"password": func(rt *rapid.T) {
				of := "user:a"
				word := fmt.Sprintf("password %d", rapid.IntRange(0, 2).Draw(rt, "word"))
				_, err := s.ChangeUser(ctx, of[5:], UserChange{Password: &word})
				wantErr(err, there(of, ""))
				if m.owners[of].there {
					m.owners[of].password = word
					m.owners[of].passwords++
				}
			},
			"secret": func(rt *rapid.T) {
				c := &modelSecret{of: aName.Draw(rt, "of"), purpose: PurposeLogin}
				switch lasting := rapid.Bool().Draw(rt, "lasting"); {
				case lasting && c.of == "user:a":
					c.purpose = PurposeToken
				case lasting:
					c.purpose = PurposeSecret
				case c.of == "user:a":
					c.purpose = rapid.SampledFrom([]string{PurposeLogin, PurposeSession}).Draw(rt, "purpose")
				}
				o := m.owners[c.of]
				c.made, c.expires = o.moment(), s.now().Add(time.Duration(rapid.IntRange(1, 100).Draw(rt, "minutes"))*time.Minute)
				ask := Secret{Of: c.of, Purpose: c.purpose, Expires: c.expires}
				var on *modelSecret
				gone := false
				if c.purpose == PurposeLogin || c.purpose == PurposeSession {
					if n := rapid.IntRange(0, len(m.secrets)).Draw(rt, "rests on"); n > 0 {
						on = m.secrets[n-1]
						ask.Via = viaSecret + on.id
						gone = on.of != c.of || !m.kept(on) || !s.now().Before(on.expires)
					}
				}
				got, plain, err := s.AddSecret(ctx, ask)
				switch {
				case !o.there:
					wantErr(err, Unknown)
					return
				case o.disabled:
					wantErr(err, Disabled)
					return
				case gone:
					wantErr(err, Invalid)
					return
				}
				wantErr(err, "")
				if on != nil {
					if on.expires.Before(c.expires) {
						c.expires = on.expires
					}
					if c.rests = on; on.purpose == PurposeLogin || on.purpose == PurposeSession {
						c.rests = on.rests
					}
				}
				c.id, c.plain = got.ID, plain
				m.secrets = append(m.secrets, c)
			},
			"revoke": func(rt *rapid.T) {
				if len(m.secrets) == 0 {
					return
				}
				c := rapid.SampledFrom(m.secrets).Draw(rt, "secret")
				code := ""
				if !m.kept(c) {
					code = Unknown
				}
				wantErr(s.RevokeSecret(ctx, c.id), code)
				c.revoked = true
			},
			"login": func(rt *rapid.T) {
				of := "user:a"
				o := m.owners[of]
				for n := range 3 {
					word := fmt.Sprintf("password %d", n)
					who, _, err := s.Login(ctx, of[5:], word)
					switch {
					case !o.there:
						if !errors.Is(err, auth.ErrUnknown) {
							rt.Fatalf("%s is not there: %v", of, err)
						}
					case o.disabled || o.password != word:
						if !errors.Is(err, auth.ErrWrong) {
							rt.Fatalf("%s with %q: %v", of, word, err)
						}
					case err != nil:
						rt.Fatalf("%s with %q: %v", of, word, err)
					default:
						m.logins, m.made = append(m.logins, who), append(m.made, o.moment())
					}
				}
			},
			"identity": func(rt *rapid.T) {
				of := aName.Draw(rt, "of")
				who, err := s.Identity(ctx, of)
				if (err == nil) != m.good(of) {
					rt.Fatalf("identity of %s: %v", of, err)
				}
				if err == nil {
					m.logins, m.made = append(m.logins, who), append(m.made, m.owners[of].moment())
				}
			},
			"wait":  func(rt *rapid.T) { s.advance(time.Duration(rapid.IntRange(1, 20).Draw(rt, "minutes")) * time.Minute) },
			"flush": func(rt *rapid.T) { must(t, s.flush(ctx)) },
			"purge": func(rt *rapid.T) { must(t, s.purge(ctx)) },
			"": func(rt *rapid.T) {
				for _, c := range m.secrets {
					want := m.works(c, s.now())
					login, other := func() (auth.Identity, time.Time, error) { return s.Login(ctx, "", c.plain) }, func() (auth.Identity, time.Time, error) { return s.Session(ctx, c.plain) }
					if c.purpose == PurposeSession {
						login, other = other, login
					}
					if who, _, err := other(); !errors.Is(err, auth.ErrWrong) {
						rt.Fatalf("the %s %s of %s, shown as what it is not: %v, %v", c.purpose, c.id, c.of, who, err)
					}
					who, until, err := login()
					if (err == nil) != want || !want && !errors.Is(err, auth.ErrWrong) || want && (who.String() != c.of || until.After(c.expires)) {
						rt.Fatalf("login with the %s %s of %s: %v until %v, %v, want it to work: %v", c.purpose, c.id, c.of, who, until, err, want)
					}
					kind := auth.User
					if c.of[0] == 'r' {
						kind = auth.Robot
					}
					err = s.Alive(ctx, auth.Identity{Kind: kind, Name: c.of[len(c.of)-1:], Via: viaSecret + c.id})
					if (err == nil) != want || !want && !errors.Is(err, auth.ErrWrong) {
						rt.Fatalf("the %s %s of %s is alive: %v, want %v", c.purpose, c.id, c.of, err, want)
					}
					if _, err := s.Secret(ctx, c.id); (err == nil) != m.kept(c) {
						rt.Fatalf("the %s %s of %s is kept: %v, want %v", c.purpose, c.id, c.of, err, m.kept(c))
					}
				}
				for i, who := range m.logins {
					if err := s.Alive(ctx, who); (err == nil) != m.stands(i) || err != nil && !errors.Is(err, auth.ErrWrong) {
						rt.Fatalf("login %d of %s (%s) is alive: %v, want %v", i, who, who.Via, err, m.stands(i))
					}
				}
			},
		})
	})
}
