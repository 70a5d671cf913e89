// Package account keeps the registry's own accounts in the index: users, robots, their secrets, and the grants made while it runs.
//
//	accounts, err := account.Open(ctx, account.Config{Index: index, Passwords: passwords, OnChange: rebuildRules})
//	go accounts.Run(ctx)
//	…
//	_, err = accounts.AddRobot(ctx, account.Robot{Name: "ci-dmp", On: "cloud/dmp"})
//	_, plain, err := accounts.AddSecret(ctx, account.Secret{Of: "robot:ci-dmp", Purpose: account.PurposeSecret})
//	_, err = accounts.AddGrant(ctx, auth.Grant{Who: "robot:ci-dmp", Role: auth.CIRole, On: "cloud/dmp"})
//	…
//	who, until, err := accounts.Login(ctx, "ci-dmp", plain)
//	err = accounts.Alive(ctx, who) // some time later: does the credential still stand?
//
// What it promises:
//
//   - Every change is one transaction with its events in the journal, and, unless it only adds a secret, moves the epoch: a counter that every process on the index watches. Whoever
//     keeps logins looks at Epoch, and asks Alive about each again when it has moved. Read Epoch before Login, not after it.
//   - What was withdrawn stays withdrawn: an account that is removed and added again, or disabled and enabled again, starts a new generation, and logins
//     by password or provider of an older one never come back. A secret that is revoked takes along the refresh tokens and sessions that it was good for.
//   - A secret is shown once. The index holds its SHA-256, or of a password what Passwords makes of it; neither leaves this package, and no
//     error, event or log line holds a secret.
//   - An owner's secrets are few (MaxSecrets), so that nobody fills the index by logging in.
//
// It leaves to others who may manage accounts (the door), how passwords are hashed and how often one may try (auth/password, auth/login), and what
// grants mean (auth.Rules).
package account

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/entrepot/entrepot/storage/kv"
)

// Passwords hashes passwords and compares them. Its errors hold neither.
type Passwords interface {
	// Hash returns what to keep instead of the password.
	Hash(ctx context.Context, password string) (string, error)
	// Matches tells whether hash was made of password.
	Matches(ctx context.Context, hash, password string) (bool, error)
}

// Config is what the accounts stand on.
type Config struct {
	Index     kv.DB // durable, shared with other processes or not
	Passwords Passwords
	Log       *slog.Logger     // default: none
	Now       func() time.Time // for tests

	// OnChange is called after each change made here, and by Run when another process changed something. It is never called twice at the
	// same time, so that whatever it reads is no older than the last change. The change returns when OnChange has; it must not make one itself.
	OnChange func()
}

// Store is the accounts. Its methods may be called by many at once. It is an auth.Provider.
type Store struct {
	index     kv.DB
	passwords Passwords
	log       *slog.Logger
	now       func() time.Time

	epoch    atomic.Uint64
	telling  sync.Mutex // held while onChange runs
	onChange func()
	used     used
}

// Open prepares the accounts. It reads nothing that grows with what is stored.
func Open(ctx context.Context, c Config) (*Store, error) {
	if c.Index == nil || c.Passwords == nil {
		return nil, errors.New("open accounts: they need an index, and something that hashes passwords")
	}
	s := &Store{index: c.Index, passwords: c.Passwords, log: c.Log, now: c.Now, onChange: c.OnChange}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.onChange == nil {
		s.onChange = func() {}
	}
	epoch, err := readEpoch(ctx, s.index)
	if err != nil {
		return nil, fault(err, "open accounts")
	}
	s.epoch.Store(epoch)
	return s, nil
}

// Epoch returns the number of changes that this process knows of; those it makes itself at once, others' while Run runs. It only grows.
func (s *Store) Epoch() uint64 { return s.epoch.Load() }

// Anybody tells whether there is any user or robot.
func (s *Store) Anybody(ctx context.Context) (bool, error) {
	found, err := anybody(ctx, s.index)
	return found, fault(err, "look for any account")
}

func anybody(ctx context.Context, v kv.View) (bool, error) {
	for _, prefix := range []string{prefixUser, prefixRobot} {
		from, to := kv.Prefix(prefix)
		for _, err := range v.Scan(ctx, from, to) {
			return err == nil, err
		}
	}
	return false, nil
}
