package main

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/openvic/vic/sdk/errdef"
)

// The work of one hash: argon2id with the memory and passes that OWASP recommends as a minimum (19 MiB, 2 passes).
const (
	hashTime    = 2
	hashMemory  = 19 << 10 // KiB
	hashThreads = 1
	hashLength  = 32
	saltLength  = 16
)

// atOnce bounds how many hashes are worked at a time, and so the memory that guessers can make the plugin take.
const atOnce = 4

// hasher makes and checks hashes of passwords.
type hasher struct{ slots chan struct{} }

func newHasher() *hasher { return &hasher{slots: make(chan struct{}, atOnce)} }

// work waits for its turn, unless ctx ends: what nobody waits for any more is not worked, so that guessers who hang up do not
// keep others waiting.
func (h *hasher) work(ctx context.Context, password string, salt []byte, time, memory uint32) ([]byte, error) {
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.slots }()
	return argon2.IDKey([]byte(password), salt, time, memory, hashThreads, hashLength), nil
}

// hash makes the text that is kept, in the form of the argon2 command. The error is ctx's.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // never fails
	b64 := base64.RawStdEncoding
	sum, err := h.work(ctx, password, salt, hashTime, hashMemory)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashThreads, b64.EncodeToString(salt),
		b64.EncodeToString(sum)), err
}

// nobodys is the hash of nobody's password, which takes as long to compare as anybody's.
const nobodys = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// matches compares a password with a kept text; false for a text that cannot be read, after the same time.
// The error is ctx's.
func (h *hasher) matches(ctx context.Context, kept, password string) (bool, error) {
	salt, sum, time, memory, unreadable := parseHash(kept)
	if unreadable != nil {
		salt, _, time, memory, _ = parseHash(nobodys)
	}
	got, err := h.work(ctx, password, salt, time, memory)
	return err == nil && unreadable == nil && subtle.ConstantTimeCompare(got, sum) == 1, err
}

// parseHash reads a kept text, within bounds: the file may have been written by hand.
func parseHash(s string) (salt, sum []byte, time, memory uint32, err error) {
	var version, threads int
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return nil, nil, 0, 0, errors.New("it is no argon2id hash")
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return nil, nil, 0, 0, errors.New("it is of another version of argon2")
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &time, &threads); err != nil || memory < 8 || memory > 256<<10 || time < 1 ||
		time > 16 || threads != hashThreads {
		return nil, nil, 0, 0, errors.New("its work is out of bounds")
	}
	salt, err = base64.RawStdEncoding.DecodeString(parts[4])
	if err == nil {
		sum, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(salt) < 8 || len(salt) > 64 || len(sum) != hashLength {
		return nil, nil, 0, 0, errors.New("its salt or sum cannot be read")
	}
	return salt, sum, time, memory, nil
}

// rules says whether a password may be one. They ask for length, which is what helps (NIST SP 800-63B), and refuse the
// name itself and one character over and over.
func rules(name, password string, least int) error {
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password) || strings.ContainsFunc(password, unicode.IsControl):
		return fmt.Errorf("the password holds what cannot be typed: %w", errdef.ErrInvalid)
	case n < least:
		return fmt.Errorf("the password has %d characters, and needs %d or more: %w", n, least, errdef.ErrInvalid)
	case strings.Contains(strings.ToLower(password), strings.ToLower(name)) && n < 2*utf8.RuneCountInString(name):
		return fmt.Errorf("the password is little more than the name: %w", errdef.ErrInvalid)
	case strings.Count(password, string([]rune(password)[0])) == n:
		return fmt.Errorf("the password is one character over and over: %w", errdef.ErrInvalid)
	}
	return nil
}
