package guest

import "time"

// Update is what has changed since the Config was written. Nil fields have not.
type Update struct {
	Restart *Restart `json:"restart,omitempty"`
	Limits  *Limits  `json:"limits,omitempty"`
}

// Health is a health check; the tether runs it.
type Health struct {
	// Args is the command, with the shell if it needs one.
	Args          []string      `json:"args"`
	Interval      time.Duration `json:"interval,omitempty"`      // 0 means 30 s
	Timeout       time.Duration `json:"timeout,omitempty"`       // 0 means 30 s
	StartPeriod   time.Duration `json:"startPeriod,omitempty"`   // failures in it do not count
	StartInterval time.Duration `json:"startInterval,omitempty"` // in the start period; 0 means 5 s
	Retries       int           `json:"retries,omitempty"`       // failures in a row that make it unhealthy; 0 means 3
}

// The words for a health check's outcome.
const (
	HealthStarting  = "starting"
	HealthHealthy   = "healthy"
	HealthUnhealthy = "unhealthy"
)

// Limits bound the container inside its VM, whose size is the first bound. 0 means none.
type Limits struct {
	Memory   int64 `json:"memory,omitempty"`   // bytes
	NanoCPUs int64 `json:"nanoCPUs,omitempty"` // 1e-9 processors
	Pids     int64 `json:"pids,omitempty"`
}

// Security is what the container's processes may do.
type Security struct {
	// Confined leaves the processes no other capabilities than Capabilities, by number.
	Confined        bool  `json:"confined,omitempty"`
	Capabilities    []int `json:"capabilities,omitempty"`
	NoNewPrivileges bool  `json:"noNewPrivileges,omitempty"`
	// Privileged makes /sys and all of /proc writable and shows the VM's devices.
	Privileged bool `json:"privileged,omitempty"`
	// Masked paths look empty, ReadOnly ones cannot be written to; those that are not there do not
	// matter.
	Masked   []string `json:"masked,omitempty"`
	ReadOnly []string `json:"readOnly,omitempty"`
}

// Rlimit is a limit of setrlimit(2), by the number of its resource.
type Rlimit struct {
	Resource int    `json:"resource"`
	Soft     uint64 `json:"soft"`
	Hard     uint64 `json:"hard"`
}

// Tmpfs is a file system in memory that is mounted in the container.
type Tmpfs struct {
	Target  string   `json:"target"`
	Options []string `json:"options,omitempty"` // as mount(8) takes them with -o
}
