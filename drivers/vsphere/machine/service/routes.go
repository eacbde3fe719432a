package service

import (
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/operation"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
	"github.com/openvic/vic/drivers/vsphere/machine/vch"
)

// route is an operation of the service: how it is asked for, what the document says of it, what it does.
type route struct {
	method, path string
	id           string // operationId
	summary      string
	text         string
	query        []param
	options      []option.Option // of the body; nil: no body
	patience     time.Duration   // how long it may take, unless the timeout parameter says otherwise
	task         bool            // it answers 202
	answer       any             // a value of the type of the answer
	result       any             // likewise, of the task's result
	media        string          // of the answer, if it is not JSON
	statuses     []int           // of the answer, beside 200 or 202 and problems

	do   doing // needs a vSphere account
	free func(*call) (*reply, error)
}

// param is a parameter in the query.
type param struct {
	name, text string
	kind       option.Kind
	oneOf      []string
}

// needsVSphere says that the path names a target.
func (r route) needsVSphere() bool { return r.do != nil }

// allQuery are the parameters of the route, and those that all have which need vSphere.
func (r route) allQuery() []param {
	if !r.needsVSphere() {
		return r.query
	}
	return append([]param{
		{name: "thumbprint", text: "thumbprint (SHA-1 or SHA-256) of the target's certificate; else the system's authorities must vouch for it"},
		{name: "timeout", text: "give up after this time", kind: option.Duration},
	}, r.query...)
}

const (
	targetPath     = "/container/target/{target}"
	datacenterPath = targetPath + "/datacenter/{datacenter}"
	short          = time.Minute
	long           = 3 * time.Minute
	patient        = 15 * time.Minute
)

// routes are all of them. Those of a target are there a second time for one of its datacenters, as VIC
// had them.
func routes() []route {
	all := append(freeRoutes(), taskRoutes()...)
	for _, r := range append(vchRoutes(), certificateRoutes()...) {
		path := r.path
		r.path = targetPath + path
		all = append(all, r)
		r.path, r.id = datacenterPath+path, r.id+"InDatacenter"
		all = append(all, r)
	}
	return all
}

func freeRoutes() []route {
	return []route{
		{method: "GET", path: "/openapi.json", id: "getDocument", summary: "this document", free: (*call).document, answer: map[string]any{}},
		{method: "GET", path: "/container/hello", id: "getHello", summary: "say that the service is there", media: "text/plain", free: (*call).hello},
		{method: "GET", path: "/container/version", id: "getVersion", summary: "the version, which is that of the images it brings", media: "text/plain",
			free: (*call).version},
	}
}

func taskRoutes() []route {
	return []route{
		{method: "GET", path: "/tasks/{task}", id: "getTask", summary: "how far a task is, or its result", free: (*call).getTask, answer: Task{},
			text: "With follow, or if text/event-stream is accepted, the answer is a stream of server-sent events: step, message and end, whose data are a " +
				"Step, a Message and the Task.",
			query: []param{{name: "follow", text: "stream events until the end", kind: option.Toggle}}},
		{method: "DELETE", path: "/tasks/{task}", id: "deleteTask", summary: "cancel a task that runs, or forget one that has ended",
			free: (*call).deleteTask, answer: Task{},
			text: "What a create has made is removed, as after Ctrl-C.", task: true, statuses: []int{204}},
	}
}

func vchRoutes() []route {
	force := param{name: "force", kind: option.Toggle, text: "also delete running containers, and the volumes in its volume stores"}
	return []route{
		{method: "GET", path: "/vch", id: "listVCHs", summary: "list the VCHs", patience: short, do: (*call).list, answer: VCHs{}},
		{method: "POST", path: "/vch", id: "createVCH", summary: "make a VCH and wait until it serves", options: createOptions(), patience: long,
			task: true, do: (*call).create, result: Made{}},
		{method: "DELETE", path: "/vch", id: "deleteVCHByName", summary: "remove a VCH by its name, or what is left of one", patience: long, task: true,
			do: (*call).deleteByName, result: Removed{},
			query: []param{force, {name: "name", text: "of the VCH"}, {name: "compute-resource", text: "that it is on, if several VCHs have its name"}}},
		{method: "POST", path: "/vch/plan", id: "planVCH", summary: "run the checks of create, and say what would be made and which privileges that needs",
			options: createOptions(), patience: long, do: (*call).plan, answer: Planned{}},
		{method: "GET", path: "/vch/{vch}", id: "getVCH", summary: "describe a VCH", patience: short, do: (*call).inspect, answer: vch.Details{}},
		{method: "PATCH", path: "/vch/{vch}", id: "configureVCH", summary: "change what is named and nothing else; containers do not notice",
			options: configureOptions(), patience: long, task: true, do: (*call).configure, result: Changed{},
			text: "Options that are lists add to what is there; remove takes something away."},
		{method: "DELETE", path: "/vch/{vch}", id: "deleteVCH", summary: "remove a VCH with its containers and images", patience: long, task: true,
			do: (*call).delete, result: Removed{}, query: []param{force}},
		{method: "GET", path: "/vch/{vch}/config", id: "getConfig", summary: "the options that make such a VCH again", patience: short, do: (*call).config,
			answer: optionsBody{createOptions()},
			text:   "Secrets are not among them. Files that are no secrets, such as registry-ca, are there with their texts; with format=toml by their names.",
			query:  []param{{name: "format", text: "of the answer; toml is a file for create --config", oneOf: []string{"json", "toml"}}}},
		{method: "POST", path: "/vch/{vch}/upgrade", id: "upgradeVCH", summary: "give a VCH the version of this service; containers go on",
			options: servingOptions(), patience: patient, task: true, do: (*call).upgrade, result: vch.Details{}},
		{method: "POST", path: "/vch/{vch}/rollback", id: "rollbackVCH", summary: "put back the version from before the last upgrade; containers go on",
			options: servingOptions(), patience: patient, task: true, do: (*call).rollback, result: vch.Details{}},
		{method: "POST", path: "/vch/{vch}/log-level", id: "setLogLevel", summary: "change what the endpoint logs; vicd restarts",
			options: pick(operation.DebugOptions(), "log-level"), patience: long, task: true, do: (*call).logLevel, result: Changed{}},
		{method: "POST", path: "/vch/{vch}/bundle", id: "getBundle",
			summary: "logs of the endpoint, its plugins, consoles of containers, vSphere's events; without secrets", options: pick(operation.DebugOptions(),
				"cert-path", "admin-host"),
			patience: long, do: (*call).bundle, media: "application/gzip", text: "What the endpoint itself logs is in it if cert-path holds admin-cert.pem and " +
				"admin-key.pem and the service can reach the endpoint; NOT-COLLECTED.txt in it says what is missing."},
		{method: "GET", path: "/firewall", id: "getFirewall", summary: "what firewalls have to let through", patience: short, do: (*call).firewall,
			answer: Firewall{}},
		{method: "GET", path: "/tasks", id: "listTasks", summary: "the tasks of this account", patience: short, do: (*call).listTasks, answer: TaskList{}},
	}
}

func certificateRoutes() []route {
	return []route{
		{method: "GET", path: "/vch/{vch}/certificate", id: "getCertificates", summary: "the endpoint's certificates, when they expire and which are revoked",
			patience: short, do: (*call).certificates, answer: operation.Certificates{}},
		{method: "POST", path: "/vch/{vch}/certificate/renew", id: "renewCertificate", summary: "give the endpoint a new certificate for the same names",
			options: signOptions(operation.RenewOptions()), patience: long, task: true, do: (*call).renew, result: Files{},
			text: "cert-path brings ca.pem and ca-key.pem as create returned them; the result has the files that are new."},
		{method: "POST", path: "/vch/{vch}/certificate/add-client", id: "addClient", summary: "make a certificate for another client",
			options: signOptions(operation.AddClientOptions()), patience: short, do: (*call).addClient, answer: Files{}},
		{method: "POST", path: "/vch/{vch}/certificate/revoke", id: "revokeCertificate",
			summary: "shut a client out: its certificate is not accepted any " +
				"more", options: signOptions(operation.RevokeOptions()), patience: long, task: true, do: (*call).revoke, result: operation.Certificates{}},
	}
}

// elsewhere are options of the command line that a request has another place for, or none.
func elsewhere() []string {
	return []string{"target", "user", "password", "thumbprint", "timeout", "appliance-iso", "bootstrap-iso", "config", "dry-run", "output",
		"no-reach-check", "id", "out", "rollback"}
}

func createOptions() []option.Option {
	all := option.Without(operation.CreateOptions(), elsewhere()...)
	for i, o := range all {
		if o.Name == "force" {
			all[i].Usage = "take some errors of the checks as warnings, replace certificates that cannot be used"
		}
	}
	return all
}

func configureOptions() []option.Option {
	all := option.Without(operation.ConfigureOptions(), append(elsewhere(), "name", "compute-resource")...)
	for i, o := range all {
		if o.Name == "force" {
			all[i].Usage = "take some errors of the checks as warnings"
		}
	}
	return all
}

func servingOptions() []option.Option { return pick(operation.UpgradeOptions(), "serve-timeout") }

func signOptions(all []option.Option) []option.Option {
	return option.Without(all, append(elsewhere(), "name", "compute-resource", "force")...)
}

func pick(all []option.Option, names ...string) []option.Option { return option.Pick(all, names...) }

// pathParams are the names in braces.
func pathParams(path string) []string {
	var out []string
	for _, part := range strings.Split(path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			out = append(out, strings.TrimSuffix(name, "}"))
		}
	}
	return out
}
