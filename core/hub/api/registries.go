package api

import (
	"errors"
	"net/http"

	"github.com/openvic/vic/core/hub/registries"
	"github.com/openvic/vic/core/hub/replication"
	"github.com/openvic/vic/core/hub/role"
	"github.com/openvic/vic/core/hub/upstream"
	"github.com/openvic/vic/sdk/errdef"
	"github.com/openvic/vic/sdk/secret"
)

func registryRoutes() []route {
	return []route{
		{method: "GET", path: "/registries", id: "listRegistries", needs: role.RegistryManage, run: (*api).listRegistries,
			says: "List the other registries that the hub knows", query: []string{"q:name", "name"}, gives: []registryForm{}},
		{method: "POST", path: "/registries", id: "createRegistry", needs: role.RegistryManage, run: (*api).createRegistry,
			says: "Save a registry that answers", takes: registryRequest{}},
		{method: "POST", path: "/registries/ping", id: "pingRegistry", needs: role.RegistryManage, run: (*api).pingRegistry,
			says: "Ask a registry whether it answers and takes the credentials, before it is saved or, by id, afterwards", takes: registryRequest{}, status: 200},
		{method: "GET", path: "/registries/{registry}", id: "getRegistry", needs: role.RegistryManage, run: (*api).getRegistry,
			says: "Get a registry", gives: registryForm{}},
		{method: "PUT", path: "/registries/{registry}", id: "updateRegistry", needs: role.RegistryManage, run: (*api).updateRegistry,
			says: "Change a registry, which must answer", takes: registryRequest{}},
		{method: "DELETE", path: "/registries/{registry}", id: "deleteRegistry", needs: role.RegistryManage, run: (*api).deleteRegistry,
			says: "Forget a registry that no project is a proxy cache of"},
		{method: "GET", path: "/registries/{registry}/info", id: "getRegistryInfo", needs: role.RegistryManage, run: (*api).registryInfo,
			says: "Tell what can be done with a registry", gives: registryInfoForm{}},
		{method: "GET", path: "/replication/adapters", id: "listRegistryProviderTypes", needs: role.RegistryManage, run: (*api).listAdapters,
			says: "List the kinds of registries", gives: []string{}, whole: true},
		{method: "GET", path: "/replication/adapterinfos", id: "listRegistryProviderInfos", needs: role.RegistryManage, run: (*api).adapterInfos,
			says: "Tell of each kind of registries which addresses it has", gives: map[string]adapterForm{}},
	}
}

// credentialForm is who the hub is at a registry. The secret is never told.
type credentialForm struct {
	Type   string `json:"type"` // basic
	Key    string `json:"access_key"`
	Secret string `json:"access_secret"`
}

// secretStars is what Harbor shows in place of a secret; a client that sends it back means the one that is kept.
const secretStars = "*****"

// registryForm is Harbor's form of one.
type registryForm struct {
	ID          int64           `json:"id"`
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Type        string          `json:"type"`
	URL         string          `json:"url"`
	Credential  *credentialForm `json:"credential,omitempty"`
	Insecure    bool            `json:"insecure"`
	CA          string          `json:"ca_certificate,omitempty"`
	Status      string          `json:"status"` // healthy, unhealthy, or unknown if nobody has asked it
	Created     string          `json:"creation_time"`
	Updated     string          `json:"update_time"`
}

func (a *api) registryOf(e registries.Endpoint) registryForm {
	f := registryForm{ID: e.ID, Name: e.Name, Description: e.Description, Type: e.Kind, URL: e.URL, Insecure: e.Insecure, CA: e.CA, Status: "unknown",
		Created: stamp(e.Made), Updated: stamp(e.Changed)}
	if e.Username != "" {
		f.Credential = &credentialForm{Type: "basic", Key: e.Username, Secret: secretStars}
	}
	if healthy, known := a.Registries.Healthy(e.ID); known {
		f.Status = map[bool]string{true: "healthy", false: "unhealthy"}[healthy]
	}
	return f
}

// registryRequest is what clients send: Harbor has the credential in a part of its own for a new registry, and beside the
// rest in changes and pings. What a change leaves out stays.
type registryRequest struct {
	ID          *int64          `json:"id"`
	Name        *string         `json:"name"`
	Description *string         `json:"description"`
	Type        *string         `json:"type"`
	URL         *string         `json:"url"`
	Credential  *credentialForm `json:"credential"`
	Key         *string         `json:"access_key"`
	Secret      *string         `json:"access_secret"`
	Insecure    *bool           `json:"insecure"`
	CA          *string         `json:"ca_certificate"`
}

// onto sets what a request names. A secret that is kept goes to the place that it was given for, and to no other.
func (q registryRequest) onto(e *registries.Endpoint) error {
	was := *e
	set := func(to *string, v *string) {
		if v != nil {
			*to = *v
		}
	}
	set(&e.Name, q.Name)
	set(&e.Description, q.Description)
	set(&e.Kind, q.Type)
	set(&e.URL, q.URL)
	set(&e.CA, q.CA)
	if q.Insecure != nil {
		e.Insecure = *q.Insecure
	}
	key, text := q.Key, q.Secret
	if q.Credential != nil {
		if q.Credential.Type != "" && q.Credential.Type != "basic" {
			return badRequest("credential.type: want basic")
		}
		key, text = &q.Credential.Key, &q.Credential.Secret
	}
	set(&e.Username, key)
	given := text != nil && *text != secretStars
	switch {
	case given:
		e.Password = secret.Text(*text)
	case e.Username == "":
		e.Password = ""
	case was.Password != "" && (e.URL != was.URL || e.Kind != was.Kind || e.Username != was.Username || e.Insecure && !was.Insecure || e.CA != was.CA):
		return badRequest("access_secret: give it anew: the one that is kept is for another address, account or kind of trust")
	}
	return nil
}

// registryFailed is the error of a registry that does not answer as it should: the client's to mend, as in Harbor.
func registryFailed(err error) error {
	if errors.Is(err, errdef.ErrUnavailable) || errors.Is(err, errdef.ErrDenied) {
		return badRequest("the registry is unhealthy: %v", err)
	}
	return err
}

func (a *api) listRegistries(c *call) error {
	p, err := c.page()
	if err != nil {
		return err
	}
	q, err := c.query("name")
	if err != nil {
		return err
	}
	name := c.r.URL.Query().Get("name")
	if v, ok := q["name"]; ok {
		name = v
	}
	list, total, err := a.Registries.List(c.r.Context(), name, p.size, p.offset())
	if err != nil {
		return err
	}
	out := []registryForm{}
	for _, e := range list {
		out = append(out, a.registryOf(e))
	}
	return c.list(p, total, out)
}

// endpoint is the one of the path.
func (a *api) endpoint(c *call) (registries.Endpoint, error) {
	n, err := c.number("registry")
	if err != nil {
		return registries.Endpoint{}, err
	}
	return a.Registries.Get(c.r.Context(), n)
}

func (a *api) createRegistry(c *call) error {
	var q registryRequest
	var e registries.Endpoint
	err := c.body(&q)
	if err == nil {
		err = q.onto(&e)
	}
	if err != nil {
		return err
	}
	if e, err = a.Registries.Add(c.r.Context(), e); err != nil {
		return registryFailed(err)
	}
	return c.created("/registries/%d", e.ID)
}

func (a *api) pingRegistry(c *call) error {
	var q registryRequest
	if err := c.body(&q); err != nil {
		return err
	}
	var e registries.Endpoint
	if q.ID != nil && *q.ID != 0 {
		var err error
		if e, err = a.Registries.Get(c.r.Context(), *q.ID); err != nil {
			return err
		}
	}
	was := e
	if err := q.onto(&e); err != nil {
		return err
	}
	if e.Endpoint != was.Endpoint {
		e.ID = 0 // what is found says nothing of the one that is kept
	}
	if err := a.Registries.Ping(c.r.Context(), e); err != nil {
		return registryFailed(err)
	}
	return c.empty(http.StatusOK)
}

func (a *api) getRegistry(c *call) error {
	e, err := a.endpoint(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, a.registryOf(e))
}

func (a *api) updateRegistry(c *call) error {
	var q registryRequest
	if err := c.body(&q); err != nil {
		return err
	}
	e, err := a.endpoint(c)
	if err != nil {
		return err
	}
	if q.Type != nil && *q.Type != e.Kind && *q.Type != "" {
		return badRequest("type: a registry keeps its kind: make another one")
	}
	q.Type = nil
	if err := q.onto(&e); err != nil {
		return err
	}
	if err := a.Registries.Change(c.r.Context(), e); err != nil {
		return registryFailed(err)
	}
	return c.empty(http.StatusOK)
}

func (a *api) deleteRegistry(c *call) error {
	n, err := c.number("registry")
	if err != nil {
		return err
	}
	err = a.Registries.Remove(c.r.Context(), n)
	if errors.Is(err, errdef.ErrConflict) {
		return &Error{http.StatusPreconditionFailed, "PRECONDITION", err.Error()}
	}
	if err != nil {
		return err
	}
	return c.empty(http.StatusOK)
}

// registryInfoForm is Harbor's form: what replication can do with a registry.
type registryInfoForm struct {
	Type     string              `json:"type"`
	Filters  []filterChoicesForm `json:"supported_resource_filters"`
	Triggers []string            `json:"supported_triggers"`
}

// filterChoicesForm is a filter that rules may have, and how it is entered.
type filterChoicesForm struct {
	Type   string   `json:"type"`
	Style  string   `json:"style"`
	Values []string `json:"values,omitempty"`
}

func replicationFilters() []filterChoicesForm {
	return []filterChoicesForm{{Type: replication.FilterName, Style: "input"}, {Type: replication.FilterTag, Style: "input"},
		{Type: replication.FilterLabel, Style: "list"}, {replication.FilterResource, "radio", []string{replication.Image, replication.Artifact}},
		{Type: replication.FilterAge, Style: "input"}}
}

func (a *api) registryInfo(c *call) error {
	e, err := a.endpoint(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, registryInfoForm{Type: e.Kind, Filters: replicationFilters(),
		Triggers: []string{string(replication.Manual), string(replication.Scheduled), string(replication.OnEvent)}})
}

func (a *api) listAdapters(c *call) error {
	return c.answer(http.StatusOK, a.Registries.Kinds(c.r.Context()))
}

// adapterForm is Harbor's form of a kind of registries: the addresses that all of the kind have, if they have.
type adapterForm struct {
	Endpoints adapterEndpoints `json:"endpoint_pattern"`
}

type adapterEndpoints struct {
	Type      string            `json:"endpoint_type"`
	Endpoints []adapterEndpoint `json:"endpoints"`
}

type adapterEndpoint struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

func (a *api) adapterInfos(c *call) error {
	out := map[string]adapterForm{}
	for _, kind := range a.Registries.Kinds(c.r.Context()) {
		f := adapterForm{adapterEndpoints{Type: "EndpointPatternTypeStandard", Endpoints: []adapterEndpoint{}}}
		if url := upstream.Address(kind); url != "" {
			f.Endpoints = adapterEndpoints{"EndpointPatternTypeFix", []adapterEndpoint{{url[len("https://"):], url}}}
		}
		out[kind] = f
	}
	return c.answer(http.StatusOK, out)
}
