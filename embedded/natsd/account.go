package natsd

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// The accounts that a server has by itself: the one with the streams when there are
// no others, and its own.
const (
	globalAccount = "$G"
	systemAccount = "$SYS"
)

// streamsDir is where, below an account's directory, its streams are.
const streamsDir = "streams"

// adopt gives the streams to the account that is to have them: another one has them
// when Accounts was turned on or off. Where both have some it is for the operator to
// say which ones count.
func (s *Server) adopt() error {
	dir, to := filepath.Join(s.cfg.Dir, server.JetStreamStoreDir), globalAccount
	if s.cfg.Accounts != "" {
		to = s.cfg.Service.Account
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("looking for streams: %w", err)
	}
	for _, e := range entries {
		if e.Name() == to || e.Name() == systemAccount || !holds(filepath.Join(dir, e.Name())) {
			continue
		}
		if holds(filepath.Join(dir, to)) {
			return fmt.Errorf("accounts %s and %s in %s: both hold streams, move one of them away", e.Name(), to, dir)
		}
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, to)), os.Rename(filepath.Join(dir, e.Name()), filepath.Join(dir, to))); err != nil {
			return fmt.Errorf("giving the streams to account %s: %w", to, err)
		}
	}
	return nil
}

// holds reports whether an account's directory has streams.
func holds(account string) bool {
	entries, err := os.ReadDir(filepath.Join(account, streamsDir))
	return err == nil && len(entries) > 0
}

// SetAccounts puts other accounts and users in force. Connections of users that are
// gone, or have another password, end. The account with the streams must stay. Valid
// after Ready, of a server that has Accounts.
func (s *Server) SetAccounts(accounts string) error {
	if s.cfg.Accounts == "" || accounts == "" {
		return errors.New("accounts can't be turned on or off while the server runs")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if accounts == s.accounts {
		return nil
	}
	opts, err := s.options(accounts)
	if err != nil {
		return err
	}
	for _, a := range opts.Accounts {
		s.ns.LookupOrRegisterAccount(a.Name) // a reload sets up imports only of accounts that are there
	}
	if err := s.ns.ReloadOptions(opts); err != nil {
		return fmt.Errorf("reloading accounts: %w", err)
	}
	s.accounts = accounts
	return nil
}
