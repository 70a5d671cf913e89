package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/entrepot/entrepot/auth"
	"github.com/entrepot/entrepot/auth/account"
	"github.com/entrepot/entrepot/storage/journal"
	"github.com/entrepot/entrepot/storage/kv"
	"github.com/entrepot/entrepot/storage/kv/bolt"
)

// manyUsers is how many users there are, and how many grants: one for each.
const manyUsers = 10_000

// accountGuard: what nobody in particular may read is elsewhere than what the users may, so that decisions about these take their own grants.
var accountGuard = &stock{"10,000 users and grants", func(ctx context.Context, s *site) error {
	if err := s.addTags(ctx, repo, 1); err != nil {
		return err
	}
	if err := s.addTags(ctx, fewRepo, 1); err != nil {
		return err
	}
	s.stop()
	if err := s.addAccounts(ctx); err != nil {
		return fmt.Errorf("add users and grants: %w", err)
	}
	s.tokens = func(ctx context.Context, n int) ([]string, error) { return s.askTokens(ctx, n, s.put[user]) }
	return s.restart(ctx, s.peer.with("ENTREPOT_AUTH_GRANTS=[{who: anyone, role: reader, on: "+fewRepo+"}]"))
}}

// addAccounts writes users and grants into the index of a server that does not run.
func (s *site) addAccounts(ctx context.Context) error {
	index, err := bolt.Open(filepath.Join(s.dir, "data", "index.db"), bolt.Options{})
	if err != nil {
		return err
	}
	defer index.Close()
	accounts, err := account.Open(ctx, account.Config{Index: index, Passwords: unhashed{}})
	if err != nil {
		return err
	}
	if err := together(manyUsers, func(i int) error {
		name := fmt.Sprintf("%s-%05d", user, i)
		if _, err := accounts.AddUser(ctx, name, password, []string{"bench-developers"}, nil); err != nil {
			return err
		}
		_, err := accounts.AddGrant(ctx, auth.Grant{Who: "user:" + name, Role: auth.Developer, On: repo})
		return err
	}); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%05d", user, manyUsers/2)
	_, secret, err := accounts.AddSecret(ctx, account.Secret{Of: "user:" + name, Purpose: account.PurposeToken})
	if err != nil {
		return err
	}
	s.put[user] = basic(name, secret)
	return seal(ctx, index)
}

// seal does for the journal what the server would else do right after its start.
func seal(ctx context.Context, index kv.DB) error {
	for j := journal.New(index); ; {
		if n, err := j.Seal(ctx); err != nil || n == 0 {
			return err
		}
	}
}

// together does n things, many at once, so that they share their syncs.
func together(n int, do func(i int) error) error {
	const hands = 64
	var all sync.WaitGroup
	failed := make([]error, hands)
	for hand := range hands {
		all.Go(func() {
			for i := hand; i < n && failed[hand] == nil; i += hands {
				failed[hand] = do(i)
			}
		})
	}
	all.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// unhashed keeps what is as long as a hash, for users who never log in with their password.
type unhashed struct{}

func (unhashed) Hash(context.Context, string) (string, error) {
	return "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", nil
}

func (unhashed) Matches(context.Context, string, string) (bool, error) { return false, nil }

// startsWithAccounts looks at the server's start until it answers for the manifest that nobody in particular may read.
func (s *site) startsWithAccounts(ctx context.Context) (measure, error) {
	return s.restarts(ctx, "/v2/"+fewRepo+"/manifests/"+tagName(0))
}

// withGrant is beside with a token of one of many users.
func (s *site) withGrant(ctx context.Context) (measure, error) {
	tokens, err := s.tokens(ctx, 1)
	if err != nil {
		return nil, err
	}
	return s.beside(ctx, fewRepo, repo, bearer(tokens[0]))
}
