// What unfold's templates expect to find, for the build of Alpine that evaluates no code: that build reads only what is
// registered here, never globals. `theme` and `searchForm` are unfold's own (unfold/js/app.js).

document.addEventListener("alpine:init", () => {
  Alpine.data("theme", () => ({ ...theme(), adminTheme: "auto" }));
  Alpine.data("searchForm", searchForm);

  Alpine.data("shell", () => ({
    activeTab: getCurrentTab() || document.body.dataset.tab || "",
    sidebarMobileOpen: false,
    sidebarDesktopOpen: Alpine.$persist(true).as("sidebarDesktopOpen"),
    // The change form asks for its own address; these are the two parts of it that it reads.
    window: { location: { pathname: location.pathname, search: location.search } },
    toggleDesktopSidebar() {
      this.sidebarDesktopOpen = !this.sidebarDesktopOpen;
    },
    toggleMobileSidebar() {
      this.sidebarMobileOpen = !this.sidebarMobileOpen;
    },
  }));
});

// Two parts of a page scroll by themselves; each says which one it is.
document.getElementById("nav-sidebar-apps")?.setAttribute("data-simplebar-aria-label", "Menu");

// A page that keeps itself up to date rests while nobody looks at it, says so when the portal does not answer, and goes
// to the sign-in page when the person is signed out.
const stale = (is) => {
  const notice = document.getElementById("stale");
  if (notice) notice.hidden = !is;
};
document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden && event.detail.elt.getAttribute("hx-trigger")?.startsWith("every")) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const answered = new URL(event.detail.xhr.responseURL || location.href).pathname;
  if (answered !== new URL(event.detail.pathInfo.requestPath, location.href).pathname) {
    event.detail.shouldSwap = false;
    location.reload();
  }
});
for (const trouble of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
  document.addEventListener(trouble, () => stale(true));
}
document.addEventListener("htmx:afterSwap", () => stale(false));
