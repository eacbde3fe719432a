package guest

import "time"

// PolicyName names a restart policy, in Docker's words.
type PolicyName string

// The restart policies. Empty is PolicyNo.
const (
	PolicyNo            PolicyName = "no"
	PolicyOnFailure     PolicyName = "on-failure"
	PolicyAlways        PolicyName = "always"
	PolicyUnlessStopped PolicyName = "unless-stopped"
)

// Restart says what happens when the process has ended. The tether carries it out: it starts the
// process again in the VM that is there, also while the host is down.
type Restart struct {
	Policy PolicyName `json:"policy,omitempty"`
	Max    int        `json:"max,omitempty"` // PolicyOnFailure: so many restarts at most; 0: no bound
	// Count is how often the container was restarted before this boot.
	Count int `json:"count,omitempty"`
}

// None says that there is no policy.
func (r Restart) None() bool { return r.Policy == "" || r.Policy == PolicyNo }

// Wants tells whether a process that ended with an exit code is to be started again after so many
// restarts. A manual stop is not asked here: it ends every policy.
func (r Restart) Wants(code int32, restarts int) bool {
	switch r.Policy {
	case PolicyAlways, PolicyUnlessStopped:
		return true
	case PolicyOnFailure:
		return code != 0 && (r.Max <= 0 || restarts < r.Max)
	}
	return false
}

// Docker's pauses before a restart: doubled each time, from the first on again after a run that
// lasted.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = time.Minute
	lastingRun   = 10 * time.Second
)

// Backoff counts the pauses before restarts.
type Backoff struct{ last time.Duration }

// Next is the pause after a run that lasted so long.
func (b *Backoff) Next(ran time.Duration) time.Duration {
	if ran >= lastingRun {
		b.last = 0
	}
	b.last = min(max(2*b.last, firstPause), longestPause)
	return b.last
}
