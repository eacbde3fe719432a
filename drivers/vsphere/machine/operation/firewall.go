package operation

// Opening is traffic that the networks between the parts of a VCH have to let through.
type Opening struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Ports string `json:"ports"`
	Note  string `json:"note,omitempty"`
}

// Openings are all of them. The firewalls of the ESXi hosts need no change, unlike VIC's: its container
// VMs talked to their endpoint through a serial port of the host, which the firewall had to let out.
func Openings() []Opening {
	return []Opening{
		{From: "endpoint VM", To: "vCenter", Ports: "443/tcp"},
		{From: "endpoint VM", To: "registries", Ports: "443/tcp", Note: "or the port in their names"},
		{From: "docker", To: "endpoint VM", Ports: "2376/tcp", Note: "2375 with --no-tls"},
		{From: "vic", To: "endpoint VM", Ports: "2378/tcp"},
		{From: "vic-machine", To: "vCenter, ESXi", Ports: "443/tcp", Note: "uploads go to the hosts of the datastore"},
	}
}
