package sso

import (
	"bytes"
	"io"
	"net/http"

	"github.com/beevik/etree"
	"github.com/vmware/govmomi/vim25/types"
	"github.com/vmware/govmomi/vim25/xml"
)

// fault is one of the administration or the lookup service: its type's name and a text.
type fault struct{ name, text string }

// method answers a request of one method, whose element is given.
type method func(c *caller, element []byte) (any, *fault)

// does makes a method of a function over the request's own type.
func does[Req any](f func(c *caller, req *Req) (any, *fault)) method {
	return func(c *caller, element []byte) (any, *fault) {
		var req Req
		dec := xml.NewDecoder(bytes.NewReader(element))
		dec.TypeFunc = types.TypeFunc()
		if err := dec.Decode(&req); err != nil {
			return nil, &fault{"SsoFaultInvalidArgument", err.Error()}
		}
		return f(c, &req)
	}
}

// serveSOAP reads a request, has call answer it, and writes the answer.
func serveSOAP(w http.ResponseWriter, r *http.Request, call func(req *request, name string, element []byte) (any, *fault)) {
	body, err := io.ReadAll(r.Body)
	var req *request
	if err == nil {
		req, err = parseRequest(body)
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		reply(w, faultXML(&fault{"InvalidRequest", err.Error()}))
		return
	}
	doc := etree.NewDocument()
	doc.SetRoot(detached(req.body))
	element, err := doc.WriteToBytes()
	var res any
	var f *fault
	if err == nil {
		res, f = call(req, req.body.Tag, element)
	}
	var out []byte
	if f == nil && err == nil {
		out, err = marshal(res)
	}
	if err != nil {
		f = &fault{"SsoFaultInternal", err.Error()}
	}
	if f != nil {
		w.WriteHeader(http.StatusInternalServerError)
		reply(w, faultXML(f))
		return
	}
	envelope(w, string(out))
}

// marshal gives an answer as the body of an envelope: govmomi's types of answers stand for the element itself.
func marshal(res any) ([]byte, error) {
	var out bytes.Buffer
	err := xml.NewEncoder(&out).EncodeElement(res, xml.StartElement{Name: xml.Name{Local: "soapenv:Body"}})
	return out.Bytes(), err
}

func faultXML(f *fault) string {
	return `<soapenv:Fault><faultcode>ServerFaultCode</faultcode><faultstring>` + escaped(f.text) + `</faultstring><detail><` + f.name +
		`Fault xmlns="urn:sso" xmlns:xsi="` + nsXSI + `" xsi:type="` + f.name + `"></` + f.name + `Fault></detail></soapenv:Fault>`
}
