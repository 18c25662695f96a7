"""Addresses below /accounts/."""

from django.urls import path

from accounts import oidc_pages, pages, profile

urlpatterns = [
    path("login/", pages.SignInPage.as_view(), name="login"),
    path("logout/", pages.SignOutPage.as_view(), name="logout"),
    path("security/", pages.security_page, name="security"),
    path("security/sign-out-everywhere/", pages.sign_out_everywhere_page, name="sign-out-everywhere"),
    path("profile/", profile.profile_page, name="profile"),
    path("password/", pages.PasswordPage.as_view(), name="password_change"),
    path("confirm/", pages.confirm_page, name="confirm"),
    path("confirmed/", pages.confirmed_page, name="confirmed"),
    path("oidc/", oidc_pages.single_sign_on, name="single-sign-on"),
    path("oidc/callback/", oidc_pages.single_sign_on_callback, name="single-sign-on-callback"),
]
