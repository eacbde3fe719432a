package session

import (
	"regexp"
	"strings"
)

// Trouble is why the driver cannot work with vCenter.
type Trouble string

// The troubles that people can do something about.
const (
	NoTrouble            Trouble = ""
	TroubleName          Trouble = "name"        // no name server knows vCenter's name
	TroubleUnreachable   Trouble = "unreachable" // nobody answers at vCenter's address
	TroubleCertificate   Trouble = "certificate" // vCenter shows one that is not trusted
	TroubleAccount       Trouble = "account"     // vCenter does not take user and password
	TroubleNoPermissions Trouble = "permissions" // the account lacks privileges
)

// contact is how texts of this package begin that are about reaching vCenter and logging in there.
var contact = regexp.MustCompile(`(^|: )(connect to \S+: |log in (again|to \S+ as \S+): |the certificate of \S+ is not signed|vCenter \S+ does not answer)`)

// TroubleOf finds the trouble in the text of an error of Open, Dial, Error or of a call. A VM reports what
// keeps its driver from working, and only as text: this is for whoever reads that report. A text that is
// not about vCenter, or says nothing that is known, is no trouble.
func TroubleOf(text string) Trouble {
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(text, p) {
				return true
			}
		}
		return false
	}
	switch {
	case has(lacks) || contact.MatchString(text) && has("(NoPermission)"):
		return TroubleNoPermissions
	case !contact.MatchString(text):
		return NoTrouble
	case has("(InvalidLogin)"):
		return TroubleAccount
	case has("x509: ", "the server's certificate has the thumbprint", "not signed by a known authority"):
		return TroubleCertificate
	case has("no such host", "server misbehaving", ": lookup "):
		return TroubleName
	case has("connection refused", "i/o timeout", "no route to host", "network is unreachable", "does not answer", "connection timed out", "deadline exceeded"):
		return TroubleUnreachable
	}
	return NoTrouble
}
