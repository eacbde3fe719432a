package guest

// KeyDebug holds a Debug as JSON: what an administrator has switched on for a while; host to guest. The
// appliance looks at it while it runs. What it finds there when it boots is of a time before: it is
// not put into effect again.
const KeyDebug = "debug"

// Debug is a service that runs beside those of an appliance, for a while.
type Debug struct {
	ID string `json:"id"` // a new one for each change; Status shows it once the change is in effect
	// Service is what runs; nil: nothing, what ran is stopped. It reports like all services do.
	Service *Service `json:"service,omitempty"`
	// Files are written before it starts and removed when it has ended.
	Files   []File `json:"files,omitempty"`
	Minutes int    `json:"minutes,omitempty"` // after which it ends
}

// DebugStatus is how the service of a Debug is.
type DebugStatus struct {
	ID      string `json:"id"`
	State   string `json:"state"`             // as in Status.Services; DebugOff if nothing runs
	Message string `json:"message,omitempty"` // the service's STATUS
}

// DebugOff is the state of a service that ended because it should.
const DebugOff = "off"

// SSH is what the SSH server of an endpoint works with.
type SSH struct {
	Name      string `json:"name"`      // of the VCH, for the prompt
	Interface string `json:"interface"` // the network interface that it listens on; empty: all
	Port      int    `json:"port"`
	// AuthorizedKeys are lines as in OpenSSH's authorized_keys, without options.
	AuthorizedKeys []string `json:"authorizedKeys,omitempty"`
	// PasswordHash is bcrypt's of root's password; empty: no password is good.
	PasswordHash string `json:"passwordHash,omitempty"`
}
