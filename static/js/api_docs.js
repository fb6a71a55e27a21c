/** Shows the OpenAPI document; what is tried out goes with the session's cookie. */
/* global SwaggerUIBundle */
SwaggerUIBundle({
  url: "/api/schema",
  dom_id: "#docs",
  deepLinking: true,
  // Else it would ask a server of others whether the document is valid.
  validatorUrl: null,
  requestInterceptor(request) {
    const token = document.querySelector("[name=csrfmiddlewaretoken]").value;
    if (new URL(request.url, location.href).origin === location.origin) {
      request.headers["X-CSRFToken"] = token;
    }
    return request;
  },
});
