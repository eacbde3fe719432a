package service

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/openvic/vic/drivers/vsphere/machine/advice"
	"github.com/openvic/vic/drivers/vsphere/machine/certs"
	"github.com/openvic/vic/drivers/vsphere/machine/option"
)

// readBody reads the options of a request. Files come as their text, a folder as an object of files.
func (c *call) readBody() error {
	c.files = certs.Files{}
	c.values = option.New(c.route.options)
	// Not http.Server.ReadTimeout: that would end the request's context while its work goes on.
	conn := http.NewResponseController(c.w)
	_ = conn.SetReadDeadline(time.Now().Add(c.bodyTime)) // not every connection of a test can
	b, err := io.ReadAll(c.r.Body)
	_ = conn.SetReadDeadline(time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problemError{Problem{Type: "too-slow", Status: http.StatusRequestTimeout, Detail: "the body does not come"}}
	}
	if err != nil {
		return err
	}
	if c.route.options == nil || len(bytes.TrimSpace(b)) == 0 {
		if len(b) > 0 {
			return invalid("there is a body, and %s takes none", c.route.id)
		}
		return nil
	}
	if kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return problemError{Problem{Type: "media-type", Status: http.StatusUnsupportedMediaType, Detail: "the body is not declared as JSON",
			Advice: "send it with Content-Type: application/json"}}
	}
	doc, err := object(b)
	if err != nil {
		return advice.Wrap(err, "send one JSON object with options; see /openapi.json")
	}
	for _, name := range sorted(doc) {
		o, found := option.Find(c.route.options, name)
		if !found || o.Name != name { // short names are for command lines
			return advice.Wrap(invalid("%s: it is no option of %s", name, c.route.id), "see /openapi.json")
		}
		if err := c.takeFiles(o, doc); err != nil {
			return err
		}
	}
	return advice.Wrap(c.values.Fill(doc, func(option.Option) bool { return true }), "see /openapi.json for the options and their values")
}

// object reads one JSON object and nothing after it.
func object(b []byte) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		return nil, invalid("the body is no JSON object (%v)", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) || doc == nil {
		return nil, invalid("the body is not one JSON object")
	}
	return doc, nil
}

// takeFiles puts the files of an option aside, and leaves their names in doc.
func (c *call) takeFiles(o option.Option, doc map[string]any) error {
	switch value := doc[o.Name].(type) {
	case map[string]any:
		if !o.Folder {
			return nil // Fill refuses it
		}
		for name, text := range value {
			s, isText := text.(string)
			if !isText || !plainName(name) {
				return invalid("%s: want an object with names of files and their texts", o.Name)
			}
			c.files[name] = []byte(s)
		}
		delete(doc, o.Name)
	case string:
		if o.Folder {
			return invalid("%s: want an object with names of files and their texts", o.Name)
		}
		if o.File {
			doc[o.Name] = c.takeFile(o, value)
		}
	case []any:
		if !o.File {
			return nil
		}
		names := make([]any, len(value))
		for i, x := range value {
			s, isText := x.(string)
			if !isText {
				return invalid("%s: want the texts of files", o.Name)
			}
			names[i] = c.takeFile(o, s)
		}
		doc[o.Name] = names
	default:
		if o.Folder {
			return invalid("%s: want an object with names of files and their texts", o.Name)
		}
	}
	return nil
}

// takeFile keeps a file under a name that is the same for the same text: so that one that is given
// again is known, and the VCH's record has something to show.
func (c *call) takeFile(o option.Option, text string) string {
	name := fmt.Sprintf("%s-%.6x.pem", o.Name, sha256.Sum256([]byte(text)))
	c.files[name] = []byte(text)
	return name
}

func plainName(s string) bool {
	return s != "" && s != "." && s != ".." && !strings.ContainsAny(s, `/\`) && len(s) < 200
}

func sorted(doc map[string]any) []string { return slices.Sorted(maps.Keys(doc)) }
