package sso

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/beevik/etree"
)

const (
	nsTrust = "http://docs.oasis-open.org/ws-sx/ws-trust/200512"
	nsWSU   = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
)

// stsFault is a fault of WS-Trust.
type stsFault struct{ code, text string }

// Error implements error.
func (f *stsFault) Error() string { return f.text }

func failedAuthentication(text string) error { return &stsFault{"FailedAuthentication", text} }

// serveSTS answers Issue, Renew and Validate.
func (s *Server) serveSTS(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var res string
	if err == nil {
		res, err = s.trust(base(r)+"/websso/SAML2/Metadata/"+Domain, body)
	}
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	if err != nil {
		f := &stsFault{"InvalidRequest", err.Error()}
		_ = errors.As(err, &f)
		s.cfg.Log.Info("the token service refused a request", "code", f.code, "err", f.text)
		w.WriteHeader(http.StatusInternalServerError)
		res = fmt.Sprintf(`<soapenv:Fault><faultcode xmlns:ns0="%s">ns0:%s</faultcode><faultstring>%s</faultstring></soapenv:Fault>`,
			nsTrust, f.code, escaped(f.text))
	}
	reply(w, res)
}

// reply writes an envelope around what is in its body.
func reply(w io.Writer, content string) { envelope(w, "<soapenv:Body>"+content+"</soapenv:Body>") }

func envelope(w io.Writer, body string) {
	_, _ = io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/">`+
		body+`</soapenv:Envelope>`)
}

func escaped(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}

func (s *Server) trust(issuer string, body []byte) (string, error) {
	r, err := parseRequest(body)
	if err != nil {
		return "", err
	}
	if err := r.checkTime(s.now()); err != nil {
		return "", err
	}
	kind := text(r.body, "RequestType")
	switch kind[strings.LastIndexByte(kind, '/')+1:] {
	case "Issue":
		who, err := s.authenticate(r)
		if err != nil {
			return "", err
		}
		res, err := s.issue(issuer, r.body, who)
		return `<RequestSecurityTokenResponseCollection xmlns="` + nsTrust + `">` + res + `</RequestSecurityTokenResponseCollection>`, err
	case "Renew":
		return s.renew(issuer, r)
	case "Validate":
		return s.validate(r)
	}
	return "", fmt.Errorf("the token service does not know the request %q", kind)
}

// authenticate says who makes a request: by password, by a certificate's key, or by a token, with the key that it names.
func (s *Server) authenticate(r *request) (subject, error) {
	d := s.cfg.Directory
	var who subject
	if assertion := r.header.FindElement("Assertion"); assertion != nil {
		return s.byToken(r, assertion)
	}
	b, user := text(r.header, "BinarySecurityToken"), text(r.header, "UsernameToken/Username")
	if b != "" {
		cert, err := parseCertificate(b)
		if err == nil {
			err = r.checkSignature(cert)
		}
		if err != nil {
			return who, failedAuthentication("Signature is invalid: " + err.Error())
		}
		o, ok := d.SolutionBy(cert)
		if !ok && user == "" {
			return who, failedAuthentication("Invalid credentials")
		}
		who = d.solution(o, cert)
	}
	if user != "" {
		u, obstacle, ok := d.Login(user, text(r.header, "UsernameToken/Password"))
		if !ok {
			return who, failedAuthentication(obstacle)
		}
		holder := who.Holder
		who = d.person(u)
		who.Holder = holder
	}
	if who.Name == "" {
		return who, failedAuthentication("the request names nobody")
	}
	return who, nil
}

func (s *Server) byToken(r *request, assertion *etree.Element) (subject, error) {
	t, err := s.checkToken(assertion)
	if err != nil {
		return subject{}, failedAuthentication(err.Error())
	}
	if t.holder != nil {
		if err := r.checkSignature(t.holder); err != nil {
			return subject{}, failedAuthentication("Signature is invalid: " + err.Error())
		}
	}
	return s.again(t)
}

// again is who a token is about, as they are now.
func (s *Server) again(t token) (subject, error) {
	d := s.cfg.Directory
	if t.holder != nil {
		if o, ok := d.SolutionBy(t.holder); ok && strings.EqualFold(o.Name+"@"+Domain, t.name) {
			return d.solution(o, t.holder), nil
		}
	}
	u, ok := d.User(t.name)
	if !ok || u.Disabled {
		return subject{}, failedAuthentication("the subject of the token is not there any more")
	}
	who := d.person(u)
	who.Holder = t.holder
	return who, nil
}

// issue answers with a token; what is asked for is in rst.
func (s *Server) issue(issuer string, rst *etree.Element, who subject) (string, error) {
	life := 5 * time.Minute
	from, err1 := time.Parse(time.RFC3339, text(rst, "Lifetime/Created"))
	to, err2 := time.Parse(time.RFC3339, text(rst, "Lifetime/Expires"))
	if err1 == nil && err2 == nil && to.After(from) {
		life = to.Sub(from)
	}
	if r := rst.FindElement("Renewing"); r != nil && who.Holder != nil {
		who.Renewable = r.SelectAttrValue("Allow", "") == "true"
	}
	var participants []string
	for _, p := range rst.FindElements("Participants/Participant") {
		participants = append(participants, strings.TrimSpace(p.Text()))
	}
	if who.Holder == nil {
		life = min(life, maxBearerLife)
	}
	now := s.now()
	end := now.Add(min(life, maxHolderLife))
	a, err := s.assertion(issuer, who, now, end, participants)
	return response(a, now, end), err
}

func response(assertion string, now, end time.Time) string {
	return fmt.Sprintf(`<RequestSecurityTokenResponse xmlns="%s"><TokenType>urn:oasis:names:tc:SAML:2.0:assertion</TokenType><RequestedSecurityToken>%s`+
		`</RequestedSecurityToken><Lifetime><wsu:Created xmlns:wsu="%s">%s</wsu:Created><wsu:Expires xmlns:wsu="%s">%s</wsu:Expires></Lifetime>`+
		`</RequestSecurityTokenResponse>`, nsTrust, assertion, nsWSU, now.Format(timeFormat), nsWSU, end.Format(timeFormat))
}

// renew gives a new token for one that may be renewed, to who has its key.
func (s *Server) renew(issuer string, r *request) (string, error) {
	assertion := r.body.FindElement("RenewTarget/Assertion")
	if assertion == nil {
		return "", errors.New("there is no token to renew")
	}
	t, err := s.checkToken(assertion)
	if err != nil {
		return "", failedAuthentication(err.Error())
	}
	if !t.renewable || t.holder == nil {
		return "", &stsFault{"UnableToRenew", "the token cannot be renewed"}
	}
	if err := r.checkSignature(t.holder); err != nil {
		return "", failedAuthentication("Signature is invalid: " + err.Error())
	}
	who, err := s.again(t)
	if err != nil {
		return "", err
	}
	who.Renewable = true
	return s.issue(issuer, r.body, who)
}

// validate says whether a token is good.
func (s *Server) validate(r *request) (string, error) {
	assertion := r.body.FindElement("ValidateTarget/Assertion")
	if assertion == nil {
		return "", errors.New("there is no token to validate")
	}
	status := "valid"
	if _, err := s.checkToken(assertion); err != nil {
		status = "invalid"
	}
	return fmt.Sprintf(`<RequestSecurityTokenResponse xmlns="%s"><TokenType>%s/RSTR/Status</TokenType><Status><Code>%s/status/%s</Code></Status>`+
		`</RequestSecurityTokenResponse>`, nsTrust, nsTrust, nsTrust, status), nil
}
